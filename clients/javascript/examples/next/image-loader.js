"use client";
import { ruleLoader } from "framekeep/next";

export default ruleLoader({ quality: 75 });
