"The fuzzer finds what it looks for, and a short run of it finds no hang and no process that died; crosses text, serve, data and runs"
import json,random,sys

import numpy as np,pytest
from benchmarks import fuzz

def test_repeats():
    "A case is drawn from its seed, whatever ran before"
    for f in (fuzz.odd_text, fuzz.odd_value): assert f(random.Random('1 texts 7'))==f(random.Random('1 texts 7'))
    assert len({fuzz.odd_text(random.Random(i)) for i in range(50)})==50

def test_changes():
    "Values, bytes and headers do change, and JSON stays JSON"
    whole,n = {'a':[1,2,{'b':'c'}], 'd':{'e':None}},0
    for i in range(200):
        d = json.loads(json.dumps(whole))
        fuzz.change_value(random.Random(i), d)
        n += json.loads(json.dumps(d))!=whole
    assert n>150
    assert sum(fuzz.changed_bytes(random.Random(i), b'some bytes of a file'*20)!=b'some bytes of a file'*20 for i in range(100))>90

def test_odd_updates():
    "Ranges begin elsewhere, hold other bytes, are of another kind, or too many; what fits is as often among them"
    from toxicai.serve.folder import FolderError
    from toxicai.serve.network import check_ranges
    content,n = bytes(range(256))*40,[0,0]
    for i in range(200):
        found = fuzz.odd_ranges(random.Random(i), {'100':np.zeros(8, np.uint8)}, content)
        kinds = {np.dtype('uint8'):'U8', np.dtype('int8'):'I8', np.dtype('float32'):'F32'}
        try: check_ranges({k:(kinds[o.dtype],o.shape) for k,o in found.items()}, len(content))
        except FolderError: n[1] += 1
        else: n[0] += list(found)!=['100']
    assert min(n)>50

def test_filled():
    "A changed network has the length of the one that it takes the place of"
    onnx = pytest.importorskip('onnx')
    nodes = [onnx.helper.make_node('Identity', [f'x{i}'], [f'x{i+1}'], name='n'*80) for i in range(200)]
    m = onnx.helper.make_model(onnx.helper.make_graph(nodes, 'g', [], []))
    whole = m.SerializeToString()
    for o in m.graph.node: o.name = ''
    short = m.ByteSize()
    for n in (len(whole), short+200, short+20): assert len(fuzz.filled(onnx.load_from_string(m.SerializeToString()), n))==n
    assert fuzz.filled(m, short-1) is None

def answer(monkeypatch, f, promised=(ValueError,)):
    monkeypatch.setitem(fuzz.kinds, 'tables', f)
    return fuzz.outcome('tables', 3, 0, None, promised)

def raising(e):
    def _raise(*args): raise e
    return _raise

def test_outcomes(monkeypatch):
    assert answer(monkeypatch, lambda *a: None)['error']=='none'
    assert answer(monkeypatch, raising(ValueError('a file')))['error']=='ValueError'
    for e in (IndexError('i'), SystemExit(3), KeyboardInterrupt(), MemoryError(), json.JSONDecodeError('no', 'x', 0), UnicodeDecodeError('utf-8', b'x', 0, 1, 'no')):
        assert answer(monkeypatch, raising(e))['odd'].startswith(type(e).__name__)

worker = "import sys,os,time,json\nfor n in map(int, sys.stdin):\n    if n==1: time.sleep(99)\n    if n==2: os.abort()\n    print(json.dumps(dict(n=n, seconds=0., mib=1)), flush=True)"

def test_hang_and_crash():
    for n,odd in ((0,None), (1,'hangs'), (2,'dies: status -6')):
        o = fuzz.Worker([sys.executable, '-c', worker])
        try:
            res = o.ask(n, 2 if n==1 else 30)
            assert res['n']==n and (res.get('odd') or '').startswith(odd or '') and ('odd' in res)==(odd is not None)
        finally: o.end()

def test_busy_machine():
    "What counts is how long a process has worked"
    o = fuzz.Worker([sys.executable, '-c', "import sys,json,time\nfor n in map(int, sys.stdin):\n    end = time.monotonic()+99\n    while time.monotonic()<end: pass"])
    try:
        assert o.ask(0, 1)['odd'].startswith('hangs') and fuzz.busy_seconds(o.process.pid)>=1 and fuzz.is_busy(o.process.pid)
    finally: o.end()
    assert not fuzz.is_busy(o.process.pid) and fuzz.busy_seconds(o.process.pid)==0

def test_growth():
    rows = [dict(n=i, mib=100+10*i, fresh=i in (0,5), seconds=1.) for i in range(100)]
    assert fuzz.growth(rows)==10*(99-5)-10*19
    assert any(k.startswith('grows') for k in fuzz.summary('tables', rows, 0)['findings'])

@pytest.mark.slow
def test_short_run(tmp_path, capsys):
    "A hundred texts, and a few dozen folders, updates and tables"
    res = fuzz.run(dict(texts=1, folders=24, updates=24, tables=24), 5, 120, tmp_path/'fuzz.jsonl')
    found = {(o['kind'],k) for o in res for k in o['findings']}
    assert not [o for o in found if o[1].startswith(('hangs','dies','grows')) or o[0]=='texts'], found
    stored = [json.loads(o) for o in (tmp_path/'fuzz.jsonl').read_text().splitlines()]
    assert [o['kind'] for o in stored]==['texts','folders','updates','tables'] and all(o['cases'] for o in stored)
    assert 'folders: 24 cases' in capsys.readouterr().out
