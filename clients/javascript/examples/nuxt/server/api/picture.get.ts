import { links, source } from "../links";

export default defineEventHandler(() => ({
  source,
  rule: links.rule(source, "resize:{160,320,640,960,1280}", "convert:auto:{60,75}"),
}));
