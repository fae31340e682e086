"use client";
import Image from "next/image";
import { useState } from "react";

// Its picture is chosen in the browser, which has no key.
export function Gallery({ rule }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <button onClick={() => setOpen(true)}>Show</button>
      {isOpen && <Image id="client" src={rule} alt="Chosen in the browser" width={640} height={480} quality={60} />}
    </>
  );
}
