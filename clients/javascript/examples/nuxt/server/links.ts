import { Signer } from "framekeep/node";

export const source = process.env.SOURCE ?? "";
export const links = new Signer(process.env.FRAMEKEEP_URL ?? "", process.env.FRAMEKEEP_KEY ?? "");
