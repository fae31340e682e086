import { defineConfig } from "astro/config";

export default defineConfig({
  image: {
    service: { entrypoint: "./src/image-service.js" },
    domains: ["cdn.example.com"],
  },
});
