/** Topic lanes as the composition root sees them. */
export { startTopicLanes, type TopicLanes } from "./topic-lanes.ts";
