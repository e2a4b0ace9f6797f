// The page: what it shows of the rows, and what its inputs choose. Behind explore_rows.js.

// ---- parts of the page

function fillSelect(id, names, key) {
  const select = $(id);
  select.append(...names.map((name, n) => make("option", { value: n }, name)));
  select.addEventListener("change", () => change({ [key]: Number(select.value) }));
  select.closest("label").hidden = names.length < 2;
}

function drawSamples() {
  if (!$("samples")) return;
  if (!$("samples").childElementCount) {
    $("samples").append(...data.samples.map((one, n) => make("button", { type: "button", role: "option", onclick: () => choose(n) },
      make("img", { src: one.frames[0].src, alt: "" }), `${n + 1}. ${one.kind === "video" ? "clip" : "picture"}`)));
  }
  [...$("samples").children].forEach((button, n) => {
    button.setAttribute("aria-selected", n === chosen.sample);
    button.setAttribute("aria-label", `Sample ${n + 1}: ${data.samples[n].question}`);
    button.tabIndex = n === chosen.sample ? 0 : -1;
  });
}

function drawQuestion() {
  const one = sample();
  const more = one.media > 1 ? `; shown is the first of ${one.media} media` : "";
  $("about").textContent = `${one.uid} · ${one.type}${more}`;
  $("question").textContent = one.question;
  $("options").hidden = !one.options.length;
  $("options").replaceChildren(...one.options.map((option) => make("li", {}, option)));
  $("gold").replaceChildren(...(one.gold ? [make("span", { class: "soft" }, "Right answer: "), one.gold] : []));
  $("kind").textContent = one.kind === "video" ? "clip" : "picture";
  $("framed").hidden = one.chance === null;
  const shown = one.chance === null ? "its attention that goes to the picture or clip" : "its attention to the picture or clip that lies on the evidence";
  const linked = one.answers.length > 1 ? " Tokens that are the same in both answers are chosen together." : "";
  $("legend").textContent = `Under each token: the share of ${shown}. Bold: the answer block.${linked}`;
  const chance = one.chance === null ? "" : `; chance is ${percent(one.chance)}`;
  $("matrix_legend").textContent = `The chosen token in each layer (down) and head (across): the share of ${shown}, in percent${chance}.`;
}

function buildAnswers() {
  $("answers").replaceChildren(...sample().answers.map((answer, side) => {
    const tokens = answer.tokens.map((text, n) => make("button", {
      type: "button", role: "option", class: `${answer.answer[n] ? "inside" : ""} ${/^\s/.test(text) ? "word" : ""}`,
      onclick: () => select(side, n),
      onpointerenter: (event) => event.pointerType === "mouse" && hover({ side, token: n }),
      onpointerleave: () => hover(null),
    }, make("span", {}, visible(text)), make("i")));
    const verdict = answer.verdict ? [make("span", { class: { "✓": "right", "✗": "wrong" }[answer.verdict[0]] || "partly" }, answer.verdict.join(" "))] : [];
    return make("div", { class: "side" }, make("h3", {}, answer.name, ...verdict),
      make("div", { class: "tokens", role: "listbox", "aria-label": `Tokens of the answer, ${answer.name}`, "aria-orientation": "horizontal" }, ...tokens));
  }));
}

function drawTokens() {
  sample().answers.forEach((answer, side) => {
    [...$("answers").children[side].querySelectorAll("[role=option]")].forEach((button, n) => {
      const own = chosen.tokens[side] === n;
      const share = measured(sharesOf(answer, n));
      button.setAttribute("aria-selected", chosen.average || own);
      button.tabIndex = own ? 0 : -1;
      button.title = percent(share);
      button.querySelector("i").style.setProperty("--share", share);
    });
  });
}

function frameNode(frame, under, label) {
  const boxes = frame.boxes.map((box) => {
    const node = make("b");
    const [left, top, right, bottom] = box.map((edge) => 100 * edge);
    Object.assign(node.style, { left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%` });
    return node;
  });
  const node = make("span", { class: under ? "frame under" : "frame" }, make("img", { src: frame.src, alt: under ? "" : label, width: frame.size[0], height: frame.size[1] }),
    ...(under ? [make("canvas", { role: "img", "aria-label": label })] : []), ...boxes);
  node.style.width = `${sample().kind === "video" ? Math.min(frame.size[0], 112) : frame.size[0]}px`;
  return node;
}

function buildPictures() {
  const one = sample();
  const clip = one.kind === "video";
  const names = [clip ? "clip" : "picture", ...one.answers.map((answer) => answer.name)];
  const frame = (row, n) => frameNode(one.frames[n], row > 0, `${names[row]}, ${one.frames[n].time || "picture"}`);
  const place = (row, n) => ({ "data-row": row, "data-frame": n });
  const under = (row, n) => make("span", { class: "under_it" }, row ? "" : one.frames[n].time);
  const strips = () => make("table", { class: "clips" }, make("tbody", {}, ...names.map((name, row) => make("tr", {},
    make("th", { scope: "row" }, name), ...one.frames.map((_, n) => make("td", place(row, n), frame(row, n), under(row, n)))))));
  const stills = () => make("div", { class: "stills" }, ...names.map((name, row) =>
    make("figure", place(row, 0), frame(row, 0), make("figcaption", {}, name))));
  $("pictures").replaceChildren(clip ? strips() : stills());
  $("stage").className = clip ? "stage" : `stage still ${names.length > 2 ? "two" : ""}`;
}

function drawPictures() {
  const one = sample();
  const [, rows, columns] = one.grid;
  const looks = one.answers.map(lookOf);
  const peak = Math.max(...looks.map((look) => Math.max(...look.cells)));
  looks.forEach((look, side) => one.frames.forEach((_, n) => {
    const cells = look.cells.subarray(n * rows * columns, (n + 1) * rows * columns);
    const place = $("pictures").querySelector(`[data-row="${side + 1}"][data-frame="${n}"]`);
    paint(place.querySelector("canvas"), Array.from(cells, (cell) => (peak ? cell / peak : 0)), columns, rows);
    if (one.kind === "video") place.querySelector(".under_it").textContent = percent(cells.reduce((a, b) => a + b, 0));
  }));
  paint($("bar"), Array.from({ length: 256 }, (_, n) => n / 255), 256, 1);
  $("peak").textContent = percent(peak);
  return looks;
}

function drawReadout(looks) {
  const one = sample();
  const medium = one.kind === "video" ? "clip" : "picture";
  $("readout").replaceChildren(...one.answers.map((answer, side) => {
    const subject = chosen.average ? "all tokens" : `“${visible(answer.tokens[tokenOf(side)])}”`;
    const { evidence, visual } = looks[side];
    const on = evidence === null ? [] : [make("span", { class: "big" }, percent(evidence)), ` of its attention to the ${medium} lies on the evidence (chance ${percent(one.chance)}); `];
    return make("p", {}, make("b", {}, `${answer.name}, ${subject}: `), ...on, make("span", { class: "big" }, percent(visual)), ` of all its attention goes to the ${medium}.`);
  }));
}

function buildMatrices() {
  const heads = ["mean", ...Array.from({ length: data.heads }, (_, n) => n)];
  $("matrices").replaceChildren(...sample().answers.map((answer, side) => make("div", { class: "side" }, make("h3", {}, answer.name),
    make("div", { class: "scroll" }, make("table", { class: "matrix" },
      make("thead", {}, make("tr", {}, make("th", {}, "layer"), ...heads.map((name) => make("th", { scope: "col" }, String(name))))),
      make("tbody", {}, ...data.layers.map((layer, l) => make("tr", {}, make("th", { scope: "row" }, String(layer)), ...heads.map((name, h) =>
        make("td", {}, make("button", { type: "button", tabindex: -1, "data-layer": l, "data-head": h, onclick: () => change({ layer: l, head: h, side }) })))))))))));
}

function drawMatrices() {
  sample().answers.forEach((answer, side) => {
    const tokens = tokensShown(answer, side);
    for (const button of $("matrices").children[side].querySelectorAll("button")) {
      const [layer, head] = [Number(button.dataset.layer), Number(button.dataset.head)];
      const share = mean(tokens.map((token) => measured(sharesOf(answer, token, layer, head))));
      const [red, green, blue, opacity] = colour(share);
      button.style.background = `linear-gradient(rgba(${red}, ${green}, ${blue}, ${opacity}) 0 0), #fff`;
      button.className = share > 0.55 ? "strong" : "";
      button.textContent = Math.round(100 * share);
      button.setAttribute("aria-pressed", layer === chosen.layer && head === chosen.head);
      button.setAttribute("aria-label", `layer ${data.layers[layer]}, ${head ? `head ${head - 1}` : "mean of heads"}: ${percent(share)}`);
    }
  });
}

function draw() {
  for (const key of ["layer", "head", "query"]) $(key).value = chosen[key];
  $("average").setAttribute("aria-pressed", chosen.average);
  drawTokens();
  const looks = drawPictures();
  if (!hovered) drawReadout(looks);
  drawMatrices();
}

// ---- choices

function hover(place) {
  hovered = chosen.average ? null : place;
  drawPictures();
  drawMatrices();
  if (!hovered) return;
  drawReadout(sample().answers.map(lookOf));
}

function change(news) {
  Object.assign(chosen, news);
  draw();
}

function select(side, token) {
  const answers = sample().answers;
  const text = answers[side].tokens[token];
  const tokens = chosen.tokens.map((own, n) => (n === side || answers[n].tokens[token] === text ? token : own));
  hovered = null;
  change({ side, tokens, average: false });
  const list = $("answers").children[side].querySelectorAll("[role=option]");
  list[token].focus({ preventScroll: true });
  list[token].scrollIntoView({ block: "nearest", inline: "nearest" });
}

function startToken(answer) { // the one whose largest cell has most of all its attention
  const strength = answer.tokens.map((_, n) => { const s = sharesOf(answer, n); return s.visual * s.peak; });
  return strength.indexOf(Math.max(...strength));
}

function choose(number) {
  chosen.sample = clamp(number, data.samples.length);
  hovered = null;
  chosen.side = 0;
  chosen.tokens = sample().answers.map(startToken);
  history.replaceState(null, "", `#${encodeURIComponent(sample().uid)}`);
  drawSamples();
  drawQuestion();
  buildAnswers();
  buildPictures();
  buildMatrices();
  draw();
}

function step(count) {
  select(chosen.side, clamp(chosen.tokens[chosen.side] + count, sample().answers[chosen.side].tokens.length));
}

function otherSide() {
  const side = (chosen.side + 1) % sample().answers.length;
  select(side, chosen.tokens[side]);
}

const KEYS = {
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  Home: () => step(-Infinity),
  End: () => step(Infinity),
  ArrowUp: () => change({ layer: clamp(chosen.layer - 1, data.layers.length) }),
  ArrowDown: () => change({ layer: clamp(chosen.layer + 1, data.layers.length) }),
  h: () => change({ head: (chosen.head + 1) % (1 + data.heads) }),
  H: () => change({ head: (chosen.head + data.heads) % (1 + data.heads) }),
  r: () => change({ query: (chosen.query + 1) % data.queries.length }),
  a: () => change({ average: !chosen.average }),
  s: otherSide,
  n: () => choose(chosen.sample + 1),
  p: () => choose(chosen.sample - 1),
};

function onKey(event) {
  const typing = event.target.closest("select, summary") && !/^[a-zA-Z]$/.test(event.key);
  const act = KEYS[event.key];
  if (!act || typing || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select")) return;
  event.preventDefault();
  act();
}

function fromAddress() {
  const uid = decodeURIComponent(location.hash.slice(1));
  return Math.max(data.samples.findIndex((one) => one.uid === uid), 0);
}

async function start() {
  bytes = await unpack($("rows").textContent);
  fillSelect("layer", data.layers.map(String), "layer");
  fillSelect("head", ["mean of heads", ...Array.from({ length: data.heads }, (_, n) => String(n))], "head");
  fillSelect("query", data.queries.map((query) => ROWS_OF[query]), "query");
  $("average").addEventListener("click", () => change({ average: !chosen.average }));
  document.addEventListener("keydown", onKey);
  addEventListener("hashchange", () => choose(fromAddress()));
  $("viewer").hidden = false;
  choose(fromAddress());
}

start().catch((error) => {
  $("trouble").textContent = `This page cannot be drawn (${error}). It needs a browser of 2023 or later.`;
  $("trouble").hidden = false;
});
