// Opens the closed block that a link points into, and every block before printing. The page works without it.
"use strict";
function reveal() {
  const id = decodeURIComponent(location.hash.slice(1));
  const target = id && document.getElementById(id);
  if (!target) return;
  for (let block = target.closest("details"); block; block = block.parentElement.closest("details")) block.open = true;
  target.scrollIntoView({ block: "center" });
}
addEventListener("hashchange", reveal);
addEventListener("DOMContentLoaded", reveal);
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((block) => { block.open = true; }));
