export default defineNuxtConfig({
  compatibilityDate: "2026-01-01",
  telemetry: false,
  modules: ["@nuxt/image"],
  image: {
    provider: "framekeep",
    providers: { framekeep: { provider: "~/providers/framekeep.js" } },
  },
});
