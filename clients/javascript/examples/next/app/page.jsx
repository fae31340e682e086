import Image, { getImageProps } from "next/image";
import { signingLoader } from "framekeep/next";
import { links, source } from "../links.js";
import { Gallery } from "./gallery.jsx";

export const dynamic = "force-dynamic"; // signed when it is requested, with the key of the server

export default function Page() {
  const rule = links.rule(source, "resize:{160,320,640,960,1280}", "convert:auto:{60,75}");
  const loader = signingLoader(links);
  const { props } = getImageProps({ src: source, alt: "Signed", width: 320, height: 240, loader });
  return (
    <main>
      <Image id="rule" src={rule} alt="Chosen" width={320} height={240} sizes="320px" priority />
      <img id="signed" {...props} />
      <Gallery rule={rule} />
      <img id="route" src={`/image?src=${encodeURIComponent(source)}&width=640&quality=75`} alt="By the route" />
    </main>
  );
}
