import { defineProvider } from "@nuxt/image/runtime";
import { getImage } from "framekeep/nuxt";

export default defineProvider({ getImage });
