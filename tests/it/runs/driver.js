// What a reader does, done by events; the answers stand in the page for the test to read.
addEventListener('load', () => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const answers = {};
  const wait = () => new Promise(resolve => setTimeout(resolve, 50));
  const move = (owner, x, y) => {
    const at = new DOMPoint(x, y).matrixTransform(owner.getScreenCTM());
    owner.dispatchEvent(new PointerEvent('pointermove', { clientX: at.x, clientY: at.y, bubbles: true }));
  };
  const keyed = (node, key) => node.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
  const rows = box => all('tbody tr', box).filter(row => !row.hidden).map(row => [...row.cells].map(cell => cell.textContent));
  (async () => {
    let copied = '';
    Object.defineProperty(navigator, 'clipboard', { value: { writeText: async text => { copied = text; } } });
    answers.narrow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    const chart = document.querySelector('figure .curves');
    if (chart) {
      const owner = chart.ownerSVGElement;
      const readout = all('.readout', owner.parentNode)[0];
      const [left, top, width, height] = chart.dataset.frame.split(' ').map(Number);
      move(owner, left + width / 2, top + height / 3);
      answers.pointed = readout.textContent;
      keyed(owner, 'ArrowRight');
      answers.keyed = readout.textContent;
      const series = chart.querySelector('.series[data-name]');
      const path = series.querySelector('path');
      const before = path.getAttribute('d');
      const tools = all('.tools button', owner.parentNode);
      answers.axes = tools.map(one => one.textContent);
      answers.changed = tools.map(one => {
        one.click();
        const changed = [one.textContent, path.getAttribute('d') !== before, all('.ticks text', chart).map(text => text.textContent), !chart.innerHTML.includes('NaN')];
        one.click();
        return changed;
      });
      const points = text => text.split(/[ML ]/).filter(Boolean).map(Number);
      const [old, now] = [points(before), points(path.getAttribute('d'))];
      answers.restored = old.length === now.length && old.every((value, i) => Math.abs(value - now[i]) < 0.05);
      const key = chart.querySelector('.key');
      keyed(key, 'Enter');
      answers.hidden = [key.getAttribute('aria-pressed'), series.classList.contains('off')];
      key.dispatchEvent(new MouseEvent('click', { bubbles: true }));
      answers.shown = [key.getAttribute('aria-pressed'), series.classList.contains('off')];
    }
    const heat = document.querySelector('figure .heat');
    if (heat) {
      const cells = all('rect[data-v]', heat);
      const last = cells[cells.length - 1];
      last.dispatchEvent(new PointerEvent('pointermove', { bubbles: true }));
      answers.cell = all('.readout', heat.ownerSVGElement.parentNode)[0].textContent;
      last.dispatchEvent(new MouseEvent('click', { bubbles: true }));
      const detail = document.querySelector('.detail');
      answers.head = detail.querySelector('h3').textContent;
      answers.curves = all('.series path', detail).map(one => one.getAttribute('d').split(/[ML]/).length - 1);
      answers.legend = all('.key text', detail).map(one => one.textContent);
      answers.rows = rows(detail).length;
      const drawn = detail.querySelector('.curves');
      if (drawn) {
        const [left, top, width, height] = drawn.dataset.frame.split(' ').map(Number);
        move(drawn.ownerSVGElement, left + width, top + 10);
        answers.end = all('.readout', detail)[0].textContent;
      }
    }
    const table = document.querySelector('section > .table');
    if (table) {
      const heads = all('th button', table);
      const at = heads.findIndex(one => one.textContent === 'erank');
      heads[at].click();
      answers.ascending = rows(table).map(row => Number(row[at]));
      heads[at].click();
      answers.descending = rows(table).map(row => Number(row[at]));
      answers.sorted = all('th', table)[at].getAttribute('aria-sort');
      const filter = table.previousElementSibling.querySelector('input');
      filter.value = 'lower';
      filter.dispatchEvent(new Event('input'));
      answers.filtered = rows(table).length;
      all('button', table.previousElementSibling).pop().click();
      await wait();
      answers.copied = copied;
      filter.value = '';
      filter.dispatchEvent(new Event('input'));
    }
    const folded = document.querySelector('.rows').closest('details');
    folded.open = true;
    await wait();
    answers.all = rows(folded).length;
    const copy = all('button', folded).find(one => one.textContent === 'Copy as CSV');
    copy.click();
    await wait();
    answers.exact = copied;
    answers.requests = performance.getEntriesByType('resource').map(one => one.name);
    answers.errors = window.errors;
  })().catch(error => { answers.failed = String(error.stack || error); }).finally(() => {
    const box = document.createElement('pre');
    box.id = 'answers';
    box.textContent = JSON.stringify(answers);
    document.body.append(box);
  });
});
