'use strict';
(() => {
 const all = (selector, root = document) => [...root.querySelectorAll(selector)];
 const numbers = text => text.split(' ').map(Number);
 const short = (value, digits = 4) => String(Number(value.toPrecision(digits)));
 const json = id => { const found = document.getElementById(id); return found && JSON.parse(found.textContent); };
 const fill = (node, attributes, ...children) => {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
 };
 const html = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, ...children);
 const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, ...children);
 const button = (text, act) => { const made = html('button', { type: 'button' }, text); made.onclick = act; return made; };
 const press = (node, act) => {
  node.onclick = act;
  node.onkeydown = event => { if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); act(event); } };
 };
 const copied = (text, made) => navigator.clipboard.writeText(text)
  .then(() => made.textContent = 'Copied', () => made.textContent = 'Not allowed');

 // Lines: pointing, a legend that hides, axes that change.
 const place = (axis, value) => axis.log ? Math.log(value / axis.low) / Math.log(axis.high / axis.low)
  : (value - axis.low) / (axis.high - axis.low);
 const value = (axis, at) => axis.log ? axis.low * (axis.high / axis.low) ** at : axis.low + at * (axis.high - axis.low);
 const ticks = ({ low, high, log }) => {
  const found = [];
  const step = 10 ** Math.floor(Math.log10((high - low) / 3));
  const decades = Math.ceil(Math.log10(high / low));
  const from = Math.floor(Math.log10(low));
  if (!log) for (let i = Math.ceil(low / step); i * step <= high; i++) found.push(i * step);
  else for (let e = from; e <= from + decades; e += Math.ceil(decades / 6)) found.push(...(decades > 2 ? [1] : [1, 2, 5]).map(m => m * 10 ** e));
  const inside = found.filter(at => at >= low && at <= high);
  return inside.filter((_, i) => i % Math.ceil(inside.length / 7) === 0).map(at => [at, short(at)]);
 };
 const frame = chart => {
  const [left, top, width, height] = numbers(chart.dataset.frame);
  const axis = name => {
   const [low, high, kind] = chart.dataset[name].split(' ');
   return { low: +low, high: +high, log: kind === 'log' };
  };
  const first = { x: axis('x'), y: axis('y') };
  const now = { ...first };
  const data = (x, y) => [value(first.x, (x - left) / width), value(first.y, 1 - (y - top) / height)];
  const pixel = (x, y) => [left + place(now.x, x) * width, top + (1 - place(now.y, y)) * height];
  return { left, top, width, height, first, now, data, pixel };
 };
 const charts = root => all('.curves', root).forEach(chart => {
  const owner = chart.ownerSVGElement;
  const { left, top, width, height, first, now, data, pixel } = frame(chart);
  const lines = all('.series', chart).map(group => ({
   group,
   name: group.dataset.name,
   key: group.dataset.s,
   faint: !!group.querySelector('[stroke-opacity="0.38"]'),
   paths: all('path', group).map(path => ({
    path,
    closed: path.getAttribute('d').endsWith('Z'),
    points: path.getAttribute('d').split(/[MLZ]/).filter(Boolean).map(pair => data(...numbers(pair))),
   })),
   dots: all('circle', group).map(dot => ({ dot, point: data(+dot.getAttribute('cx'), +dot.getAttribute('cy')) })),
  }));
  const points = line => line.dots.length ? line.dots.map(one => one.point) : line.paths.flatMap(path => path.points);
  const named = lines.filter(line => line.name !== undefined);
  const bottom = top + height;
  const redraw = () => {
   for (const line of lines) {
    for (const { path, points, closed } of line.paths) {
     let [pen, drawn] = ['M', ''];
     for (const [x, y] of points.map(one => pixel(...one))) {
      const kept = Math.min(Number.isFinite(y) ? y : bottom, bottom);
      if (Number.isFinite(x) && x >= left - 1 && (closed || y <= bottom + 1)) {
       drawn += pen + x.toFixed(2) + ' ' + kept.toFixed(2);
       pen = 'L';
      } else pen = 'M';
     }
     path.setAttribute('d', drawn + (closed && drawn ? 'Z' : ''));
    }
    for (const { dot, point } of line.dots) {
     const [x, y] = pixel(...point);
     const seen = Number.isFinite(x) && y <= bottom + 1;
     dot.classList.toggle('off', !seen);
     if (seen) fill(dot, { cx: x, cy: y });
    }
   }
   for (const mark of all('.mark', chart)) {
    const { x, y } = mark.dataset;
    const [px, py] = pixel(...data(x || left, y || top));
    mark.setAttribute('transform', x ? `translate(${px - x} 0)` : `translate(0 ${py - y})`);
   }
   for (const name of ['x', 'y']) {
    const group = chart.querySelector('.ticks.' + name);
    const draw = (d, stroke, at, label) => [svg('path', { d, stroke }), svg('text', { 'font-size': 11.5, ...at }, label)];
    group.replaceChildren(...ticks(now[name]).flatMap(([at, label]) => {
     const [x, y] = name === 'x' ? pixel(at, now.y.low) : pixel(now.x.low, at);
     return name === 'x' ? draw(`M${x} ${y}v4`, '#222222', { x, y: y + 17, 'text-anchor': 'middle' }, label)
      : draw(`M${x} ${y}h${width}`, '#e8e8e8', { x: x - 7, y: y + 4, 'text-anchor': 'end' }, label);
    }));
   }
  };

  const readout = html('div', { class: 'readout', 'aria-live': 'polite' });
  const tools = html('div', { class: 'tools' });
  for (const name of ['x', 'y']) {
   const values = named.flatMap(points).map(point => point[name === 'x' ? 0 : 1]).filter(Number.isFinite).sort((a, b) => a - b);
   const most = values[values.length - 1];
   // Positions are known to a hundredth of a pixel: far smaller values of a linear axis are not.
   const low = values.find(one => one > (first[name].log ? 0 : most / 1000));
   if (!low || low === most) continue;
   const label = () => `${name} axis: ${now[name].log ? 'logarithmic' : 'linear'}`;
   const toggle = button(label(), () => {
    const log = !now[name].log;
    now[name] = log === first[name].log ? first[name] : { low: log ? low * 0.97 : Math.min(0, values[0]), high: most * 1.03, log };
    toggle.textContent = label();
    redraw();
   });
   tools.append(toggle);
  }
  owner.after(tools, readout);

  const cross = svg('path', { class: 'hover', 'stroke-dasharray': '3 3' });
  const ring = svg('circle', { class: 'hover', r: 0, 'stroke-width': 2 });
  chart.append(cross, ring);
  // Between two points of a line; only at one where they are few measurements.
  const height_at = (line, x) => {
   const drawn = points(line).map(one => pixel(...one));
   const at = drawn.findIndex(one => one[0] >= x - 0.01);
   if (at < 0) return NaN;
   const [b, a] = [drawn[at], drawn[at - 1] || drawn[at]];
   if (b[0] - x > 0.5 && (line.dots.length || a === b)) return NaN;
   return a === b ? b[1] : a[1] + (b[1] - a[1]) * (x - a[0]) / (b[0] - a[0]);
  };
  const visible = () => named.filter(line => !line.group.classList.contains('off'));
  const places = () => {
   const main = visible().filter(line => !line.faint);
   return (main.length ? main : visible()).flatMap(points).map(one => pixel(...one)[0]).filter(Number.isFinite);
  };
  const point = (px, py) => {
   const x = places().reduce((a, b) => Math.abs(b - px) < Math.abs(a - px) ? b : a, Infinity);
   const near = visible().map(line => ({ line, y: height_at(line, x) })).filter(one => Number.isFinite(one.y))
    .sort((a, b) => Math.abs(a.y - py) - Math.abs(b.y - py));
   if (!near.length) return;
   let faint = 0;
   const told = near.filter(one => !one.line.faint || faint++ === 0).slice(0, 6);
   cross.setAttribute('d', `M${x} ${top}V${bottom}`);
   fill(ring, { cx: x, cy: near[0].y, r: 4.5 });
   readout.textContent = `${chart.dataset.xlabel} ${short(value(now.x, (x - left) / width))}: about ` +
    told.map(({ line, y }) => `${line.name || 'value'} ${short(value(now.y, 1 - (y - top) / height), 3)}`).join('; ');
  };
  owner.addEventListener('pointermove', event => {
   const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(owner.getScreenCTM().inverse());
   if (at.x >= left - 5 && at.x <= left + width + 5 && at.y >= top && at.y <= bottom) point(at.x, at.y);
  });
  let at = 0;
  fill(owner, { tabindex: 0 });
  owner.addEventListener('keydown', event => {
   const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
   if (!step || event.target !== owner) return;
   event.preventDefault();
   const xs = places().sort((a, b) => a - b);
   const next = step > 0 ? xs.find(x => x > at + 2) : xs.reverse().find(x => x < at - 2);
   if (next) point(at = next, top + height / 2);
  });
  for (const key of all('.key', chart)) {
   fill(key, { role: 'button', tabindex: 0, 'aria-pressed': true });
   press(key, () => {
    const on = key.getAttribute('aria-pressed') !== 'true';
    key.setAttribute('aria-pressed', on);
    lines.filter(line => line.key === key.dataset.s).forEach(line => line.group.classList.toggle('off', !on));
   });
  }
 });

 // Tables: sorted, filtered, copied.
 const cell = text => /[",\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
 const table = (box, read = row => [...row.cells].map(one => one.textContent)) => {
  const rows = () => all('tbody tr', box);
  const heads = all('thead th', box);
  heads.forEach((head, at) => {
   const act = button(head.textContent, () => {
    const down = head.getAttribute('aria-sort') === 'ascending';
    heads.forEach(other => other.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const rank = row => {
     const text = row.cells[at].textContent;
     const number = parseFloat(text);
     return Number.isNaN(number) ? [1, text, row] : [0, number, row];
    };
    const order = (a, b) => a[0] - b[0] || ((a[1] > b[1]) - (a[1] < b[1])) * (down ? -1 : 1);
    box.querySelector('tbody').append(...rows().map(rank).sort(order).map(one => one[2]));
   });
   head.replaceChildren(act);
  });
  const filter = html('input', { type: 'search', placeholder: 'filter rows', 'aria-label': 'filter rows' });
  filter.oninput = () => rows().forEach(row => {
   row.hidden = !filter.value.toLowerCase().split(/\s+/).every(word => row.textContent.toLowerCase().includes(word));
  });
  const copy = button('Copy as CSV', () => copied([heads.map(head => head.textContent), ...rows().filter(row => !row.hidden).map(read)]
   .map(row => row.map(cell).join(',')).join('\n') + '\n', copy));
  box.before(html('div', { class: 'tools' }, ...rows().length > 5 ? [filter] : [], copy));
 };
 const shown = one => one === null ? '-' : Array.isArray(one) ? one[0] : typeof one === 'boolean' ? one ? 'yes' : 'no'
  : typeof one === 'number' && !Number.isInteger(one) ? short(one) : String(one);
 const made = (columns, rows) => {
  const line = row => html('tr', {}, ...row.map(one => html('td', typeof one === 'string' ? { class: 't' } : {}, shown(one))));
  const body = rows.map(line);
  const exact = new Map(body.map((node, at) => [node, rows[at].map(one => one === null ? '' : String(one))]));
  const box = html('div', { class: 'table' + (rows.length > 16 ? ' long' : ''), tabindex: 0 }, html('table', {},
   html('thead', {}, html('tr', {}, ...columns.map(column => html('th', { scope: 'col', title: column.about }, column.name)))),
   html('tbody', {}, ...body)));
  return [box, () => table(box, row => exact.get(row))];
 };
 all('.table').forEach(box => table(box));
 for (const box of all('.rows')) {
  const folded = box.closest('details');
  folded.addEventListener('toggle', () => {
   const { columns, rows } = json('run-' + box.dataset.run);
   const [view, ready] = made(columns, rows);
   box.replaceChildren(view);
   ready();
  }, { once: true });
 }
 all('pre.command').forEach(box => { const copy = button('Copy', () => copied(box.textContent, copy)); box.after(html('div', { class: 'tools' }, copy)); });

 // Heat maps.
 const spectrum = (run, place) => {
  const heads = json('heads-' + run);
  if (!heads || !heads.heads[place]) return '';
  const drawn = document.getElementById('head-' + run).content.firstElementChild.cloneNode(true);
  const chart = drawn.querySelector('.curves');
  const { pixel } = frame(chart);
  all('.series path', chart).forEach((path, i) =>
   path.setAttribute('d', 'M' + heads.heads[place][i].map((share, j) => pixel(heads.k[j], share / 1000).join(' ')).join('L')));
  return drawn;
 };
 for (const heat of all('figure .heat')) {
  const owner = heat.ownerSVGElement;
  const figure = owner.closest('figure');
  const [rows, columns] = numbers(heat.dataset.size);
  const cells = all('rect[data-v]', heat);
  const { row, col, label } = heat.dataset;
  const heads = row + col === 'layerhead';
  const readout = html('div', { class: 'readout', 'aria-live': 'polite' }, heads ? 'Click a cell, or press Enter, for its head.' : '');
  owner.after(readout);
  const ring = svg('rect', { class: 'hover', 'stroke-width': 2.5 });
  heat.append(ring);
  const point = at => {
   const box = cells[at];
   fill(ring, Object.fromEntries(['x', 'y', 'width', 'height'].map(name => [name, box.getAttribute(name)])));
   readout.textContent = `${row} ${Math.floor(at / columns)}, ${col} ${at % columns}: ${label} ${box.dataset.v}`;
  };
  const open = at => {
   if (!heads) return;
   const [layer, head] = [Math.floor(at / columns), at % columns];
   const data = json('run-' + figure.dataset.run);
   const place = name => data.columns.findIndex(one => one.name === name);
   const [l, h] = [place('layer'), place('head')];
   const found = data.rows.filter(one => one[l] === layer && one[h] === head);
   const view = Object.values(data.views)[0];
   const wanted = data.columns.map((one, i) => [one, i]).filter(([one, i]) => found.some(r => r[i] !== null) &&
    (i < 6 || !view || view.columns.some(c => one.name === c.name) || one.name.endsWith('effective_rank')));
   all('.detail').forEach(old => old.remove());
   const box = html('div', { class: 'detail' }, html('h3', { tabindex: -1 }, `${row} ${layer}, ${col} ${head}`),
    spectrum(figure.dataset.run, layer + '.' + head));
   const [list, ready] = made(wanted.map(([one]) => one), found.map(one => wanted.map(([, i]) => one[i])));
   box.append(list);
   figure.after(box);
   ready();
   charts(box);
   box.querySelector('h3').focus({ preventScroll: true });
   box.scrollIntoView({ block: 'nearest' });
  };
  let at = 0;
  cells.forEach((box, index) => {
   box.addEventListener('pointermove', () => point(index));
   box.addEventListener('click', () => { at = index; open(index); });
  });
  fill(owner, { tabindex: 0 });
  owner.addEventListener('keydown', event => {
   const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
   if (step && at + step >= 0 && at + step < rows * columns) { event.preventDefault(); at += step; point(at); }
   if (event.key === 'Enter') open(at);
  });
 }
 charts(document);
})();
