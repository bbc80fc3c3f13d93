/** Topic lanes as the composition root sees them. */
export { startTopicLanes, type TopicLanes, type TopicLanesDeps } from "./topic-lanes.ts";
