// The page of a toxicai service. What people typed is put in as text, never as markup.
const $ = id => document.getElementById(id)
const comment = $('comment'), spot = $('spot')
let facts = {labels: [], uses: [], requests: [], models: [], limits: {}}, last = null, asked = null, explaining = null, timer = null

function el(tag, props = {}, ...kids) {
  const {cls, vars, ...rest} = props, res = document.createElement(tag)
  if (cls) res.className = cls
  for (const [k, v] of Object.entries(vars || {})) res.style.setProperty(k, v)
  for (const [k, v] of Object.entries(rest)) k in res ? res[k] = v : res.setAttribute(k, v)
  res.append(...kids.filter(o => o !== null))
  return res
}
const put = (id, ...kids) => $(id).replaceChildren(...kids)
const show = (id, on) => { $(id).hidden = !on }
const number = p => p.toFixed(2)
const listed = names => names.length ? names.join(', ') : 'nothing'
const model = () => facts.models.length > 1 ? {model: $('model').value} : {}
const picked = name => document.querySelector(`input[name=${name}]:checked`).value

// Requests

function headers(type) {
  const key = $('key').value
  return {'Content-Type': type, ...(key ? {Authorization: `Bearer ${key}`} : {})}
}

class Refused extends Error {
  constructor(said, answer) { super(said); this.answer = answer }
}

async function refusal(res) {
  let answer = {}
  try { answer = await res.json() } catch {}
  const error = answer.error ?? answer.detail
  const said = typeof error === 'string' ? error : error?.message ?? `The server answered ${res.status}`
  if (res.status === 401 || res.status === 403) show('key-row', true)
  const wait = res.headers.get('Retry-After')
  return new Refused(wait ? `${said} Try again in ${wait} s.` : said, answer)
}

async function ask(path, body, signal, type = 'application/json') {
  const data = type === 'application/json' ? JSON.stringify(body) : body
  const res = await fetch(path, {method: 'POST', headers: headers(type), body: data, signal}).catch(e => {
    throw e.name === 'AbortError' ? e : new Refused('The server does not answer. Is it still running?')
  })
  if (!res.ok) throw await refusal(res)
  return res
}

function trouble(e) {
  if (e?.name === 'AbortError') return
  show('trouble', Boolean(e))
  $('trouble').textContent = e ? e.message : ''
  if (e) document.body.classList.remove('busy')
}

// Spot

const moods = {content: 'is content', listening: 'is listening', mad: 'is mad', relieved: 'is content again'}

function mood(name, why = '') {
  const was = spot.dataset.mood
  if (name === 'content' && was === 'mad') name = 'relieved'
  if (name === was && !why) return
  if (name !== 'listening') spot.dataset.mood = name
  spot.setAttribute('class', `spot ${name} ${name === 'relieved' ? 'content' : ''}`)
  $('spot-title').textContent = `Spot, a small drawn dog, ${moods[name]}`
  $('said').textContent = `Spot ${moods[name]}${why ? `: ${why}` : ''}.`
}

// One comment

const breakable = name => name.split(/(?<=[_-])/).flatMap((o, i) => i ? [el('wbr'), o] : [o])

function labelRow(o, row) {
  const p = row.scores[o.name], flagged = row.flags[o.name] && o.counts
  const meter = el('span', {cls: 'meter', vars: {'--p': p, '--t': o.threshold}, 'aria-hidden': 'true'}, el('i'), el('b'))
  const decision = flagged ? el('span', {cls: 'tag bad'}, 'flagged') : el('span', {cls: 'tag none'}, row.flags[o.name] ? 'harmless' : 'below')
  return el('tr', {cls: flagged ? 'flagged' : ''},
    el('th', {scope: 'row', title: o.description || ''}, ...breakable(o.name)),
    el('td', {}, el('span', {cls: 'prob'}, meter, el('span', {cls: 'value'}, number(p)))),
    el('td', {cls: 'num'}, number(o.threshold)), el('td', {}, decision))
}

const counted = row => facts.labels.filter(o => o.counts && row.flags[o.name]).map(o => o.name)

function said(row) {
  const bad = counted(row)
  const scores = facts.labels.map(o => `${o.name} ${number(row.scores[o.name])}`).join(', ')
  return `${bad.length ? `Flagged: ${bad.join(', ')}` : 'Nothing flagged'}. ${scores}.`
}

function reasons(row) {
  const lists = (row.reasons || []).filter(o => o.kind !== 'label').map(o => `${o.kind === 'allow' ? 'allowed' : 'blocked'} word: ${o.word}`)
  const cut = row.truncated ? ['The comment is longer than the model reads: its end was left out'] : []
  return [...lists, ...cut, ...(row.notes || [])].map(o => `${o}.`).join(' ')
}

function showUses(row) {
  const thresholds = use => facts.labels.filter(o => o.counts).map(o => `${o.name} ${number(use.thresholds[o.name] ?? o.threshold)}`).join(' · ')
  put('uses', ...facts.uses.map(use => {
    const bad = row.uses[use.name]
    const decision = bad.length ? el('span', {cls: 'tag bad'}, `flags ${listed(bad)}`) : el('span', {cls: 'tag'}, 'lets it through')
    return el('li', {}, el('p', {cls: 'set'}, el('strong', {}, use.name), use.running ? el('span', {cls: 'hint'}, 'at work') : null, decision),
      el('p', {cls: 'hint'}, `from ${thresholds(use)}`))
  }))
  $('uses-note').textContent = facts.uses.length > 1 ? '' : 'This model came with one set of thresholds.'
}

function changedPieces(text, read) {
  const a = text.split(/(\s+)/), b = read.split(/(\s+)/)
  let i = 0, j = 0
  while (i < a.length && i < b.length && a[i] === b[i]) i++
  while (j < a.length - i && j < b.length - i && a.at(-1 - j) === b.at(-1 - j)) j++
  const mid = b.slice(i, b.length - j).join('')
  return [b.slice(0, i).join(''), mid ? el('ins', {}, mid) : '', b.slice(b.length - j).join('')]
}

function showRead(text, row) {
  put('read', ...(row.read === text ? [row.read] : changedPieces(text, row.read)))
  const tokens = row.tokens ? ` ${row.tokens} tokens.` : ''
  const language = row.language ? ` Language as detected: ${row.language}.` : ''
  $('read-note').textContent = (row.read === text ? 'Just what was typed.' : 'Marked: what was spelt, disguised or encoded otherwise.') + tokens + language
}

function showOne(text, row) {
  const bad = counted(row)
  last = {text, row}
  $('verdict').textContent = bad.length ? `Flagged: ${bad.join(', ')}` : 'Nothing flagged'
  $('verdict').classList.toggle('bad', bad.length > 0)
  put('labels', $('labels').tHead, el('tbody', {}, ...facts.labels.map(o => labelRow(o, row))))
  $('notes').textContent = reasons(row)
  showRead(text, row)
  showUses(row)
  for (const [id, on] of [['empty', false], ['lines', false], ['one', true]]) show(id, on)
  mood(bad.length ? 'mad' : 'content', bad.join(', '))
  $('status').textContent = said(row)
}

// Words that decided

const least = 1 // log-odds that have the full colour in a text where no word has more
const signed = w => (w < 0 ? '−' : '+') + (Math.abs(w) >= 1 ? Math.abs(w).toFixed(1) : Math.abs(w).toPrecision(2))

function shade(weight, top) {
  if (weight === null) return 'w unread'
  const level = Math.ceil(5 * Math.abs(weight) / top)
  return Math.abs(weight) < top / 50 ? '' : `w ${weight > 0 ? 'for' : 'against'}-${level}`
}

function wordsSaid(words, piece, label, complete) {
  const most = Math.max(0, ...words.map(o => Math.abs(o.weight ?? 0)))
  const worth = words.filter(o => o.weight !== null && Math.abs(o.weight) >= Math.max(most / 10, 1e-3))
  const side = sign => worth.filter(o => sign * o.weight > 0).sort((a, b) => sign * (b.weight - a.weight)).slice(0, 5)
  const words_of = os => os.map(o => `“${piece(o).trim()}” (${signed(o.weight)})`).join(', ')
  const unread = words.filter(o => o.weight === null).length
  const res = [side(1).length ? `Speaks for ${label}: ${words_of(side(1))}.` : `No word speaks for ${label}.`]
  if (side(-1).length) res.push(`Speaks against it: ${words_of(side(-1))}.`)
  if (unread) res.push(`${unread} words were not read or not asked.`)
  else if (!complete) res.push('Some neighbouring words were asked together.')
  return `${res.join(' ')} Numbers are log-odds: +0.7 doubles the odds.`
}

function showWords(found) {
  const chars = Array.from(found.text), top = Math.max(least, ...found.words.map(o => Math.abs(o.weight ?? 0)))
  const piece = o => chars.slice(o.start, o.end).join('')
  const parts = []
  let at = 0
  for (const o of found.words) {
    const cls = shade(o.weight, top)
    parts.push(chars.slice(at, o.start).join(''), cls ? el('span', {cls, title: o.weight === null ? 'not read' : signed(o.weight)}, piece(o)) : piece(o))
    at = o.end
  }
  put('shaded', ...parts, chars.slice(at).join(''))
  $('words-said').textContent = wordsSaid(found.words, piece, found.label, found.complete)
  $('label').value = found.label
}

async function explain(label = null) {
  explaining?.abort()
  const mine = explaining = new AbortController(), {text} = last
  $('words-card').classList.add('waits')
  try {
    const found = await (await ask('page/explain', {text, ...(label ? {label} : {}), ...model()}, mine.signal)).json()
    if (mine === explaining && last?.text === text) showWords(found)
  } catch (e) {
    if (e.name === 'AbortError') return
    put('shaded', text)
    $('words-said').textContent = `The words were not weighed: ${e.message}`
  } finally { if (mine === explaining) $('words-card').classList.remove('waits') }
}

// Several comments

function lineRow(text, row) {
  const open = el('button', {type: 'button', title: 'Show this comment alone'}, text)
  open.addEventListener('click', () => { setMany('one'); type(text) })
  const cells = facts.labels.map(o => {
    const hit = o.counts && row.flags[o.name]
    return el('td', {cls: hit ? 'num hit' : 'num'}, number(row.scores[o.name]), hit ? el('span', {title: 'flagged'}, ' !') : '')
  })
  return el('tr', {}, el('th', {scope: 'row', cls: 'text', dir: 'auto'}, open), ...cells)
}

function showLines(texts, rows) {
  const bad = rows.filter(o => counted(o).length).length
  last = {texts, rows}
  $('lines-title').textContent = `${texts.length} ${texts.length === 1 ? 'comment' : 'comments'}, ${bad} flagged`
  put('rows', el('thead', {}, el('tr', {}, el('th', {scope: 'col'}, 'Comment'), ...facts.labels.map(o => el('th', {scope: 'col', cls: 'num'}, o.name)))),
    el('tbody', {}, ...texts.map((o, i) => lineRow(o, rows[i]))))
  for (const [id, on] of [['empty', false], ['one', false], ['lines', true]]) show(id, on)
  mood(bad ? 'mad' : 'content', bad ? `${bad} of ${texts.length}` : '')
  $('status').textContent = $('lines-title').textContent
}

// Judging

function typed() {
  if (picked('many') === 'one') return comment.value.trim() ? [comment.value] : []
  return comment.value.split('\n').map(o => o.replace(/\r$/, '')).filter(o => o.trim())
}

function nothing() {
  last = null
  explaining?.abort()
  for (const [id, on] of [['empty', true], ['one', false], ['lines', false]]) show(id, on)
  mood('content')
  $('status').textContent = ''
}

async function judge() {
  clearTimeout(timer)
  asked?.abort()
  const texts = typed(), mine = asked = new AbortController(), alone = picked('many') === 'one'
  trouble(null)
  showCode()
  if (!texts.length) return nothing()
  mood('listening')
  try {
    const {rows} = await (await ask('page/judge', {texts, ...model()}, mine.signal)).json()
    if (mine !== asked) return
    if (!alone) return showLines(texts, rows)
    showOne(texts[0], rows[0])
    await explain()
  } catch (e) {
    if (e.name === 'AbortError') return
    mood('content')
    trouble(e)
  }
}

function soon() {
  clearTimeout(timer)
  timer = setTimeout(judge, 250)
}

function type(text) {
  comment.value = text
  judge()
}

function setMany(value) {
  document.querySelector(`input[name=many][value=${value}]`).checked = true
  $('judge').classList.toggle('many', value === 'lines')
  comment.placeholder = value === 'one' ? 'Type or paste a comment' : 'Type or paste comments, one on each line'
}

// Files

let file = null

const quoted = text => `"${text.replaceAll('"', '""')}"`

function saved(blob, name, row) {
  const link = el('a', {href: URL.createObjectURL(blob), download: name}, `Save ${name}`)
  put('file-result', el('p', {}, row, ' ', link))
  return link
}

async function counting(res, total) {
  const parts = [], reader = res.body.getReader(), text = new TextDecoder()
  let seen = 0
  for (;;) {
    const {done, value} = await reader.read()
    if (done) break
    parts.push(value)
    seen += text.decode(value, {stream: true}).split('\n').length - 1
    if (total) $('progress').value = Math.min(1, seen / total)
  }
  return new Blob(parts, {type: 'text/csv;charset=utf-8'})
}

async function sendFile(column = null) {
  if (!file) return
  const query = new URLSearchParams({name: file.name, ...(column ? {column} : {}), ...model()})
  put('file-result')
  show('column-row', false)
  show('progress', true)
  $('progress').value = 0
  try {
    if (file.size > facts.limits.file_bytes) throw new Refused(`The file has ${file.size} bytes, the page takes ${facts.limits.file_bytes}: use \`toxicai score\``)
    const res = await ask(`page/file?${query}`, file, undefined, 'application/octet-stream')
    const n = Number(res.headers.get('X-Rows'))
    const blob = await counting(res, n)
    if (!(await blob.slice(-16).text()).endsWith('\n')) throw new Refused('The answer broke off: try again')
    saved(blob, `${file.name.replace(/\.[^.]*$/, '')}.judged.csv`, `${n} ${n === 1 ? 'comment' : 'comments'} judged.`)
  } catch (e) {
    if (e.answer?.columns) chooseColumn(e.answer.columns)
    put('file-result', el('p', {cls: 'trouble'}, e.message))
  } finally { show('progress', false) }
}

function chooseColumn(columns) {
  put('column', ...columns.map(o => el('option', {value: o}, o)))
  show('column-row', true)
  $('column').focus()
}

function take(files) {
  if (!files?.length) return
  file = files[0]
  sendFile()
  $('file').scrollIntoView({block: 'nearest'})
}

function dropping() {
  const over = on => document.body.classList.toggle('over', on)
  const hasFile = e => Array.from(e.dataTransfer?.types || []).includes('Files')
  addEventListener('dragover', e => { if (hasFile(e)) { e.preventDefault(); over(true) } })
  addEventListener('dragleave', e => { if (!e.relatedTarget) over(false) })
  addEventListener('drop', e => { if (hasFile(e)) { e.preventDefault(); over(false); take(e.dataTransfer.files) } })
  $('picked').addEventListener('change', e => { take(e.target.files); e.target.value = '' })
  $('again').addEventListener('click', () => sendFile($('column').value))
}

async function saveLines() {
  file = new File([['text', ...last.texts.map(quoted)].join('\n') + '\n'], 'comments.csv')
  await sendFile('text')
  $('file-result').querySelector('a')?.click()
}

// Requests from a program

const filled = (o, text) => typeof o === 'string' ? (o === '$text' ? text : o) : Array.isArray(o) ? o.map(x => filled(x, text))
  : o && typeof o === 'object' ? Object.fromEntries(Object.entries(o).map(([k, v]) => [k, filled(v, text)])) : o
const request = () => facts.requests[$('route').selectedIndex]
const requestText = () => typed()[0] ?? 'thank you'
const address = path => new URL(path.replace(/^\//, ''), document.baseURI).href
const shell = text => `'${text.replaceAll("'", `'\\''`)}'`
const python = o => Array.isArray(o) ? `[${o.map(python).join(', ')}]` : o && typeof o === 'object'
  ? `{${Object.entries(o).map(([k, v]) => `${JSON.stringify(k)}: ${python(v)}`).join(', ')}}`
  : o === null ? 'None' : o === true ? 'True' : o === false ? 'False' : JSON.stringify(o)

const writers = {
  curl: (url, body, key) => `curl ${shell(url)} \\\n${key ? `  -H ${shell('Authorization: Bearer YOUR_KEY')} \\\n` : ''}  -H 'Content-Type: application/json' \\\n  -d ${shell(JSON.stringify(body))}`,
  python: (url, body, key) => `import json, urllib.request\n\nbody = ${python(body)}\nrequest = urllib.request.Request(\n    ${JSON.stringify(url)}, json.dumps(body).encode(),\n`
    + `    {"Content-Type": "application/json"${key ? ', "Authorization": "Bearer YOUR_KEY"' : ''}})\nwith urllib.request.urlopen(request) as answer:\n    print(json.load(answer))`,
  javascript: (url, body, key) => `const answer = await fetch(${JSON.stringify(url)}, {\n  method: "POST",\n  headers: {"Content-Type": "application/json"${key ? ', Authorization: "Bearer YOUR_KEY"' : ''}},\n`
    + `  body: JSON.stringify(${JSON.stringify(body)}),\n})\nconsole.log(JSON.stringify(await answer.json(), null, 2))`,
}

function showCode() {
  const o = request()
  if (!o) return
  const body = filled(o.body, requestText())
  $('code').textContent = writers[picked('lang')](address(o.path), body, facts.key_needed)
}

async function send() {
  const o = request()
  show('reply', true)
  $('reply').textContent = '…'
  try {
    const res = await fetch(address(o.path), {method: 'POST', headers: headers('application/json'), body: JSON.stringify(filled(o.body, requestText()))})
    const text = await res.text()
    let shown = text
    try { shown = JSON.stringify(JSON.parse(text), null, 2) } catch {}
    $('reply').textContent = `${res.status} ${res.statusText}\n${shown}`
  } catch { $('reply').textContent = 'The server does not answer.' }
}

async function copy() {
  try { await navigator.clipboard.writeText($('code').textContent); $('copied').textContent = 'Copied.' }
  catch { getSelection().selectAllChildren($('code')); $('copied').textContent = 'Selected: copy it with the keyboard.' }
}

// What this service is

function showFacts() {
  put('model', ...facts.models.map(o => el('option', {value: o, selected: o === facts.model}, o)))
  show('model-row', facts.models.length > 1)
  put('label', ...facts.labels.filter(o => o.counts).map(o => el('option', {value: o.name}, o.name)))
  put('route', ...facts.requests.map(o => el('option', {value: o.path}, `${o.name} (${o.path})`)))
  show('requests', facts.requests.length > 0)
  show('key-row', facts.key_needed)
  $('host').textContent = location.host
  $('kept').textContent = [facts.feedback ? 'Corrections that moderators send as feedback are written to a file of the owner, because the owner switched that on.' : '',
    facts.cache ? 'So that a repeat is quick, its scores are kept for a while under a keyed hash, which does not lead back to the text.' : ''].join(' ')
  const local = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname)
  $('wire').textContent = local ? 'Now the server is this computer: what you type does not leave it.'
    : location.protocol === 'https:' ? 'On its way there it is encrypted.' : 'On its way there it is not encrypted.'
  $('about').textContent = [`Model: ${facts.name}`, facts.version, facts.hash && `hash ${facts.hash.slice(0, 12)}`, facts.engine].filter(Boolean).join(' · ')
  showCode()
}

async function load(model = '') {
  try {
    const res = await fetch(`page/facts${model ? `?${new URLSearchParams({model})}` : ''}`)
    if (!res.ok) throw await refusal(res)
    facts = await res.json()
    showFacts()
    if (comment.value) judge()
  } catch (e) { trouble(e instanceof Refused ? e : new Refused('The server does not answer. Is it still running?')) }
}

async function start() {
  $('form').addEventListener('submit', e => { e.preventDefault(); judge() })
  comment.addEventListener('input', soon)
  comment.addEventListener('keydown', e => { if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) { e.preventDefault(); judge() } })
  $('clear').addEventListener('click', () => { type(''); comment.focus() })
  $('label').addEventListener('change', e => explain(e.target.value))
  $('save').addEventListener('click', saveLines)
  $('send').addEventListener('click', send)
  $('copy').addEventListener('click', copy)
  $('route').addEventListener('change', showCode)
  $('key').addEventListener('change', judge)
  $('key-row').addEventListener('submit', e => { e.preventDefault(); judge() })
  for (const o of document.querySelectorAll('input[name=many]')) o.addEventListener('change', () => { setMany(o.value); judge() })
  for (const o of document.querySelectorAll('input[name=lang]')) o.addEventListener('change', showCode)
  for (const o of document.querySelectorAll('.chip')) o.addEventListener('click', () => { setMany('one'); type(o.textContent) })
  dropping()
  $('model').addEventListener('change', e => load(e.target.value))
  await load()
}

start()
