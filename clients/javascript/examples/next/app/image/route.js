import { redirectHandler } from "framekeep/redirect";
import { links, source } from "../../links.js";

export const dynamic = "force-dynamic";

export const GET = redirectHandler(links, {
  allowSource: (asked) => asked === source,
  widths: [320, 640],
  qualities: [75],
});
