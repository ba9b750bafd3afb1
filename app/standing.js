// Shows what stands above the tabs (see standing.py) where it has changed; live.js asks for it.
(() => {
  let pressedUntil = 0;

  const put = (id, html) => {
    const box = document.getElementById(id);
    if (!box || box.told === html || (id === "standing" && html && Date.now() < pressedUntil)) return;
    if (window.studioRedraw(box, html)) box.told = html;
  };
  window.studioStands = (told) => {
    put("standing", told.notes);
    if (told.queue !== undefined) put("queue-box", told.queue);
    const badge = document.getElementById("doing");
    if (badge && badge.textContent !== told.badge) {
      badge.textContent = told.badge;
      badge.title = told.badge;
      badge.hidden = !told.badge;
    }
  };
  const soon = () => { for (const wait of [200, 700, 1500, 3000]) setTimeout(window.studioAsk, wait); };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-press]");
    if (button) {
      pressedUntil = Date.now() + 12000;  // the other server gets ten seconds to answer
      setTimeout(() => { const box = document.getElementById("standing"); if (box) box.told = undefined; }, 12000);
      button.disabled = true;
      button.textContent = button.dataset.busy;
      document.getElementById(button.dataset.press)?.click();
    }
    if (button || event.target.closest("#queue, [role=tab], button.primary")) soon();
  });
})();
