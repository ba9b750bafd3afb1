// The page outlives its server. Gradio would give up at the first request that fails: it stops all timers, says so in English
// and loads the page anew when the server is back, and what was typed is gone. Here a request waits until the server answers.
(() => {
  const words = window.studioWords;
  const real = window.fetch.bind(window);
  const sleep = (ms) => new Promise((go) => setTimeout(go, ms));
  const seen = () => document.hidden ? new Promise((go) => document.addEventListener("visibilitychange", go, { once: true })) : null;
  const pending = new Map();  // event of the queue -> whether a person waits for it
  let away = null;  // while the server is away: a promise that is kept when it answers again
  let leaving = false;
  addEventListener("pagehide", () => { leaving = true; });
  addEventListener("pageshow", () => { leaving = false; });

  const banner = (text, ...more) => {
    document.getElementById("connection")?.remove();
    if (!text) return;
    const box = Object.assign(document.createElement("div"), { id: "connection", textContent: text });
    box.setAttribute("role", "status");
    box.append(...more);
    document.body.append(box);
  };
  // The studio was updated: what this page would call may be something else there. Nothing goes through any more.
  const stale = () => {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "small", textContent: words.reload });
    button.addEventListener("click", () => location.reload());
    banner(words.updated, " ", button);
    away = new Promise(() => {});
    return away;
  };
  const lost = () => {
    away ??= (async () => {
      if (!leaving) banner(words.lost);
      for (;;) {
        await sleep(500);
        try {
          const answer = await real("/healthz", { cache: "no-store" });
          if (answer.ok && (await answer.json()).build !== window.studioBuild) return stale();
          if (answer.status < 500) break;
        } catch { /* still away */ }
      }
      away = null;
      banner("");
      document.getElementById("pulse-again")?.click();  // what the server was working out for this page is asked for again
    })();
    return away;
  };

  // Tells of an answer whether it is none of the studio's; 502 to 504 are those of a proxy before one that is away.
  const isAway = (answer) => {
    if (answer.status > 501) lost();
    return !answer.ok;
  };

  // A request that finds no server is sent when there is one again, but for what a person has pressed: a server that is gone
  // now may have begun it. Answers of the queue name the event that was begun.
  const patient = async (input, options) => {
    const joins = String(input).includes("/queue/join");
    const kind = joins ? kindOf(options) : "";
    if (joins) {
      options = { ...options, headers: new Headers(options.headers) };
      options.headers.set("x-studio-build", window.studioBuild);
    }
    for (;;) {
      if (away) await away;
      try {
        const answer = await real(input, options);
        if (answer.headers.has("x-studio-build")) return stale();
        if (joins && answer.ok) pending.set((await answer.clone().json()).event_id, kind === "");
        return answer;
      } catch (error) {
        if (options?.signal?.aborted || leaving) throw error;
        const back = lost();
        if (joins && kind === "") return new Response(JSON.stringify({ detail: words.interrupted }), { status: 400 });
        await back;
      }
    }
  };
  // "" for what a person has pressed; what comes by itself, or will come again, is called by the first of its triggers.
  const kindOf = (options) => {
    try {
      const id = JSON.parse(options.body).fn_index;
      const found = window.gradio_config.dependencies.find((each) => each.id === id).targets;
      const places = window.gradio_config.components.filter((each) => found.some((target) => target[0] === each.id));
      if (places.length && places.every((each) => each.props.elem_id?.startsWith("pulse-"))) return "pulse";  // see pulse.py
      const targets = found.map((each) => each[1]);
      return ["load", "change", "input", "select", "focus", "blur"].find((each) => targets.includes(each)) ?? "";
    } catch {
      return "";
    }
  };

  // The stream of results. Events whose results are lost with the server end, and those of a person say so.
  const ends = () => {
    const told = [...pending].map(([id, person]) => ({
      msg: "process_completed", event_id: id, success: false,
      output: { error: words.interrupted, title: words.lost_title, visible: person, duration: 12 },
    }));
    pending.clear();
    return [...told, { msg: "close_stream" }].map((each) => `data: ${JSON.stringify(each)}\n\n`).join("");
  };
  const passed = (message) => {
    if (message.includes('"process_completed"')) pending.delete(/"event_id":"(\w+)"/.exec(message)?.[1]);
    // Told without an event: the server is being closed, or is another one that does not know this page.
    const closing = message.includes('"unexpected_error"') && !/"event_id":"/.test(message);
    return closing ? ends() : `${message}\n\n`;
  };
  const results = async (request) => {
    const out = new TextEncoder();
    const headers = { "content-type": "text/event-stream" };
    let source;
    try {
      const answer = await real(request);
      if (!answer.ok) return new Response(ends(), { headers });
      source = answer.body.getReader();
    } catch (error) {
      if (request.signal.aborted || leaving) throw error;
      await lost();
      return new Response(ends(), { headers });
    }
    const text = new TextDecoder();
    let rest = "";
    let closed = false;
    const body = new ReadableStream({
      async pull(to) {
        try {
          for (;;) {
            const { done, value } = await source.read();
            if (done) {
              if (!closed) to.enqueue(out.encode(ends()));  // the server was closed in between
              return to.close();
            }
            const messages = (rest + text.decode(value, { stream: true })).split("\n\n");
            rest = messages.pop();
            closed ||= messages.some((each) => each.includes('"close_stream"'));
            if (messages.length) return to.enqueue(out.encode(messages.map(passed).join("")));
          }
        } catch (error) {
          if (request.signal.aborted || leaving) return to.error(error);
          await lost();
          to.enqueue(out.encode(ends()));
          to.close();
        }
      },
      cancel: (reason) => source.cancel(reason),
    });
    return new Response(body, { headers });
  };

  // The connection by which the server knows that this page is open. A browser has six to a server: a hidden page gives its up,
  // but for one that waits for something, which the server would give up, too.
  const alive = (request) => {
    const keep = async () => {
      while (!request.signal.aborted) {
        await seen();
        if (away) await away;
        const control = new AbortController();
        const leave = () => control.abort();
        const hide = () => { if (document.hidden && !pending.size) leave(); };
        request.signal.addEventListener("abort", leave);
        document.addEventListener("visibilitychange", hide);
        try {
          const source = (await real(request.url, { signal: control.signal })).body.getReader();
          while (!(await source.read()).done);
        } catch { /* the server is away, or the page is hidden or left */ } finally {
          request.signal.removeEventListener("abort", leave);
          document.removeEventListener("visibilitychange", hide);
        }
        await sleep(1000);
      }
    };
    keep();
    return new Response(new ReadableStream({}), { headers: { "content-type": "text/event-stream" } });
  };

  window.studioConnection = { lost, away: isAway };
  window.fetch = (input, options) => {
    const url = String(input?.url ?? input);
    if (!url.includes("/gradio_api/")) return real(input, options);
    if (url.includes("/queue/data?") && input instanceof Request) return results(input);
    if (url.includes("/heartbeat/") && input instanceof Request) return Promise.resolve(alive(input));
    return input instanceof Request ? real(input, options) : patient(input, options);
  };
})();
