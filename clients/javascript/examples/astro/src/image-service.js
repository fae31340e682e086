import { Signer } from "framekeep/node";
import { imageService } from "framekeep/astro";

const links = new Signer(process.env.FRAMEKEEP_URL, process.env.FRAMEKEEP_KEY);

// `origin` is where the server finds the images that this site imports.
export default imageService(links, { origin: process.env.SITE_URL });
