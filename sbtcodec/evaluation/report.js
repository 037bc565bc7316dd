// Hold a crop (mouse, finger, Space or Enter) to see the original in its place.
for (const button of document.querySelectorAll(".row button")) {
  const picture = button.querySelector("img");
  const decoded = picture.src;
  const original = button.closest(".sheet").querySelector(".original img").src;
  const show = () => { picture.src = original; };
  const hide = () => { picture.src = decoded; };
  const isKey = (event) => event.key === " " || event.key === "Enter";
  button.addEventListener("pointerdown", show);
  for (const name of ["pointerup", "pointerleave", "pointercancel", "blur"]) {
    button.addEventListener(name, hide);
  }
  button.addEventListener("keydown", (event) => { if (isKey(event)) { event.preventDefault(); show(); } });
  button.addEventListener("keyup", (event) => { if (isKey(event)) hide(); });
  button.addEventListener("contextmenu", (event) => event.preventDefault());
}
