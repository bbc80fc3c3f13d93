/** Public surface of @headwater/topic-path: the grammar of topic fields, their evaluation on JSON source text, and the generator. */
export {
  evaluateTopicField,
  MAX_TOPIC_BYTES,
  NO_TOPIC_REASONS,
  type NoTopicReason,
  type RoutedMessage,
  selectJson,
  type Topic,
  topicOf,
  visitTopics,
} from "./evaluate.ts";
export { generateTopicFields, MAX_CANDIDATES, type TopicFieldCandidate } from "./generator.ts";
export {
  MAX_TOPIC_FIELD_CHARACTERS,
  MAX_TOPIC_FIELD_STEPS,
  parseDataPath,
  type ParsedTopicPath,
  parseTopicField,
  type PathStep,
  type TopicPath,
} from "./path.ts";
export { encodeTopicToken } from "./topic-token.ts";
