// Shows what stands above the tabs (see standing.py) where it has changed. It comes with the answers about the run that is
// shown (live.js); where none is, this asks every few seconds.
(() => {
  const [SELDOM, OFTEN] = [5000, 2000];  // ms; often while the queue is shown
  let pressedUntil = 0, next = 0, asking = false;

  const put = (id, html) => {
    const box = document.getElementById(id);
    if (!box || box.told === html || (id === "standing" && html && Date.now() < pressedUntil)) return;
    if (window.studioRedraw(box, html)) box.told = html;
  };
  const ask = async () => {
    if (asking || document.hidden || !document.getElementById("standing")) return;
    const queue = document.getElementById("queue-box")?.offsetParent ? "?queue=true" : "";
    let told;
    next = Date.now() + (Date.now() < pressedUntil ? 1000 : queue ? OFTEN : SELDOM);
    asking = true;
    try {
      const answer = await fetch(`/standing/${window.studioLanguage}${queue}`);
      if (window.studioConnection.away(answer)) return;
      told = await answer.json();
    } catch {
      window.studioConnection.lost();
      return;
    } finally {
      asking = false;
    }
    if (told.queue !== undefined) put("queue-box", told.queue);
    show(told);
  };
  const show = (told) => {
    put("standing", told.notes);
    const badge = document.getElementById("doing");
    if (badge && badge.textContent !== told.badge) {
      badge.textContent = told.badge;
      badge.title = told.badge;
      badge.hidden = !told.badge;
    }
  };
  window.studioStands = (told, wait) => {
    show(told);
    next = Date.now() + wait + SELDOM;
  };
  const soon = () => { for (const wait of [200, 700, 1500, 3000]) setTimeout(ask, wait); };

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
  document.addEventListener("visibilitychange", ask);
  setInterval(() => { if (Date.now() >= next) ask(); }, 500);
  soon();
})();
