import { redirectHandler } from "framekeep/redirect";
import { links, source } from "../links";

const handler = redirectHandler(links, {
  allowSource: (asked: string) => asked === source,
  widths: [320, 640],
  qualities: [75],
});

export default defineEventHandler((event) => handler(toWebRequest(event)));
