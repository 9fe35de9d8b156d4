(() => {
  const {sets, picture} = JSON.parse(document.getElementById("answers").textContent);
  const blocks = [...document.querySelectorAll(".answer-set")];
  const brief = (value) =>
    value < 99.5 ? `${Number(value.toPrecision(2))}` : Math.round(value).toLocaleString("en-US");

  const missed = (own, limits) => limits.flatMap(({slider, limit}) => {
    const value = own[slider.field] ?? 0;
    const miss = limit === null ? 0 : slider.least ? limit - value : value - limit;
    return miss > 0 ? [{slider, limit, miss}] : [];
  });

  function choose(set, limits, prefer, cascades) {
    const admits = set.candidates.map((own) => cascades || own.sent === null);
    const order = set.orders[prefer].filter((index) => admits[index]);
    const misses = set.candidates.map((own) => missed(own, limits));
    const out = misses.map((own, index) => own.length > 0 || !admits[index]);
    const fits = order.find((index) => !out[index]);
    if (fits !== undefined) return {index: fits, misses, out};
    const far = misses.map((own) => own.reduce((sum, {miss, limit}) => sum + miss / limit, 0));
    return {index: order.reduce((best, index) => (far[index] < far[best] ? index : best)), misses, out};
  }

  function worded(own, misses) {
    if (misses.length === 0) return `ship ${own.line}`;
    const short = misses.map(({slider, miss}) => `${slider.short} by ${brief(miss * slider.per)}${slider.unit}`);
    return `nothing fits; the nearest, ${own.line}, misses ${short.join(" and ")}`;
  }

  function shade(figure, chart, set, limits) {
    const place = (scale, value, start, end) => start + ((value - scale.low) / (scale.high - scale.low)) * (end - start);
    const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
    const limit = (field) => limits.find(({slider}) => slider.field === field).limit;
    const most = limit(chart.axis), least = limit("retention");
    const {left, right, top, bottom} = picture;
    const x = most === null ? right : clamp(place(chart.x, Math.log(most), left, right), left, right);
    const shown = least !== null && set.whole !== null;
    const y = shown ? clamp(place(chart.y, least * set.whole, bottom, top), top, bottom) : bottom;
    const across = figure.querySelector(".across"), below = figure.querySelector(".below");
    across.setAttribute("x", x);
    across.setAttribute("width", right - x);
    below.setAttribute("y", y);
    below.setAttribute("height", bottom - y);
  }

  function show(block, set) {
    const form = block.querySelector("form"), ranges = [...form.querySelectorAll("input[type=range]")];
    const limits = set.sliders.map((slider, number) => ({slider, limit: slider.stops[ranges[number].value]}));
    const prefer = form.querySelector("input[type=radio]:checked").value;
    ranges.forEach((range, number) => {
      const text = set.sliders[number].texts[range.value];
      range.setAttribute("aria-valuetext", text);
      range.previousElementSibling.textContent = text;
    });
    const cascades = form.querySelector("input[type=checkbox]")?.checked ?? false;
    const untouched = !cascades && prefer === set.prefer && ranges.every((range, number) => Number(range.value) === set.sliders[number].start);
    const found = choose(set, limits, prefer, cascades), misses = found.misses, index = untouched ? set.chosen : found.index;
    const own = set.candidates[index];
    block.querySelector(".verb").textContent = misses[index].length ? "Nothing fits; nearest:" : "Ship";
    block.querySelector(".name").textContent = own.name;
    block.querySelector(".form").textContent = own.format;
    block.querySelector(".line").textContent = untouched ? set.line : worded(own, misses[index]);
    block.querySelectorAll("[data-text]").forEach((part) => { part.textContent = own.texts[part.dataset.text]; });
    block.querySelectorAll("[data-candidate]").forEach((part) => {
      const number = Number(part.dataset.candidate);
      part.classList.toggle("out", found.out[number]);
      part.classList.toggle("chosen", number === index);
    });
    block.querySelector(".card").classList.toggle("unfit", misses[index].length > 0);
    block.querySelectorAll(".pareto").forEach((figure, number) => shade(figure, set.charts[number], set, limits));
  }

  sets.forEach((set, number) => {
    const form = blocks[number].querySelector("form");
    if (!form) return;
    form.hidden = false;
    form.addEventListener("input", () => show(blocks[number], set));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(() => show(blocks[number], set)));
    show(blocks[number], set);
  });
  const select = document.getElementById("answer-set");
  if (select) {
    const only = () => blocks.forEach((block, number) => { block.hidden = number !== Number(select.value); });
    select.parentElement.hidden = false;
    select.addEventListener("input", only);
    only();
  }
})();
