// Draws a part anew without taking the place of the keyboard, what is unfolded, or a half-made click from whoever uses it.
(() => {
  const USED = "button, a[href], summary, input, select, textarea, [tabindex]";
  let held = null;  // what a pointer is pressed on
  const released = () => setTimeout(() => { held = null; }, 50);  // the click comes after the pointer is up
  addEventListener("pointerdown", (event) => { held = event.target; }, true);
  for (const end of ["pointerup", "pointercancel", "dragend", "blur"]) addEventListener(end, released, true);

  const again = (place, pick, index) => {
    const used = [...place.querySelectorAll(USED)];
    if (!pick) return used[index];
    const of = (each) => each.dataset.pick?.split(" ").slice(1).join(" ");
    const subject = pick.split(" ").slice(1).join(" ");  // "up NAME": where that is not offered any more, another of NAME
    return used.find((each) => each.dataset.pick === pick) ?? used.find((each) => of(each) === subject);
  };

  // Returns false, and draws nothing, while a pointer is pressed inside: try again later.
  window.studioRedraw = (place, html) => {
    if (held && place.contains(held)) return false;
    const focused = place.contains(document.activeElement) ? document.activeElement : null;
    const index = focused ? [...place.querySelectorAll(USED)].indexOf(focused) : -1;
    const open = [...place.querySelectorAll("details")].map((each) => each.open);
    place.innerHTML = html;
    const folds = place.querySelectorAll("details");
    if (folds.length === open.length) folds.forEach((each, number) => { each.open = open[number]; });
    if (focused) again(place, focused.dataset.pick, index)?.focus({ preventScroll: true });
    return true;
  };
})();
