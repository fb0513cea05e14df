"Files scored in bulk: the detector's own scores beside the rows; the same bytes after kills and with several processes; what cannot be done is said"
import gzip,io,json,os,random,re,resource,signal,subprocess,sys,time
from contextlib import suppress
from pathlib import Path

import numpy as np,pandas as pd,pyarrow.parquet as pq,pytest
from toxicai.all import *
from toxicai.serve import bulk
from toxicai.serve.bulk import *
from toxicai.streams import RowBlock,TextOptions,read_rows,row_formats,write_rows
from toxicai.test_utils import comments,tiny_checkpoint
from tests.samples import as_nobody

n_rows = 60

@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    "With a network of ONNX, which opens fast"
    learn = toxicity_learner(ToxicityDataLoaders.from_df(comments(), tiny_checkpoint(), text_col='text', label_cols=['toxic','insult'], bs=8))
    with learn.no_bar(),learn.no_logging(): learn.fit(1, 1e-2)
    return learn.save_detector(tmp_path_factory.mktemp('detector')/'rude', onnx=True)

@pytest.fixture(scope='module')
def d(folder): return Detector(folder, 'onnx', threads=1)

def rows(n=n_rows):
    "Comments with gaps, repeats and odd characters"
    rng,some = random.Random(0),[*comments(24).text, 'a, "b"\nc', 'ñ 😀', '']
    return [dict(id=str(i), text=rng.choice(some), note=f'n{i%7}') for i in range(n)]

def source(path, n=n_rows):
    write_rows([RowBlock(0, ['id','text','note'], rows(n))], path)
    return path

def read(path): return [r for o in read_rows(path) for r in o.dicts()]

# The same as the detector

@pytest.mark.parametrize('out', ['csv','tsv.gz','jsonl','jsonl.zst','parquet'])
@pytest.mark.parametrize('given', ['csv','jsonl.gz','parquet'])
def test_rows_and_scores(given, out, d, tmp_path):
    "All columns, all rows, in order; scores and flags of the detector to six decimals; a reason where there are none"
    src,dst = source(tmp_path/f'a.{given}'),tmp_path/f'b.{out}'
    done = score_files(src, dst, d, chunk=7)
    got,want,about = read(dst),rows(),d.about()
    assert [{k:o[k] for k in ('id','text','note')} for o in got]==want
    empty = [not o['text'] for o in want]
    assert done.rows==n_rows and done.problems==dict(empty=sum(empty))
    res = d([o['text'] for o in want])
    for o,e,s,f in zip(got, empty, res['toxic'], res.flags[:,0]):
        score = o['toxic_score'] or None
        assert (score is None)==e and (o['reason']=='empty')==e and o['detector']==about['hash'] and o['settings']==about['settings']
        if not e: assert abs(float(score)-s)<1e-6 and o['toxic_flag'] in (bool(f), str(bool(f)).lower())
    if out=='parquet':
        schema = pq.read_schema(dst)
        assert str(schema.field('toxic_score').type)=='float' and json.loads(schema.metadata[b'toxicai'])['hash']==about['hash']

def test_judged_once(d, tmp_path, monkeypatch):
    "Equal texts of a block reach the network once"
    seen = []
    monkeypatch.setattr(bulk, 'verdicts', lambda det,texts,f=bulk.verdicts: (seen.append(list(texts)),f(det, texts))[1])
    (tmp_path/'a.csv').write_text('text\n'+'so\nwhat\nso\nso\n'*5)
    score_files(tmp_path/'a.csv', tmp_path/'b.csv', d, chunk=10)
    assert seen==[['so','what'],['so','what']]

def test_what_is_no_text(d, tmp_path):
    values = ['so', '', '  ', None, 3, ['a'], {'a':1}, True, 'half \ud800', 2.5]
    (tmp_path/'a.jsonl').write_text(''.join(json.dumps(dict(text=o))+'\n' for o in values)+'{"other": 1}\n')
    done = score_files(tmp_path/'a.jsonl', tmp_path/'b.jsonl', d)
    got = read(tmp_path/'b.jsonl')
    reasons = [None,'empty','empty','missing','not text but int','not text but list','not text but dict','not text but bool',None,'not text but float','missing']
    assert [o['reason'] for o in got]==reasons and [o['toxic_score'] is None for o in got]==[o is not None for o in reasons]
    assert [o.get('text') for o in got]==[*values, None] and sum(done.problems.values())==9

def test_folder_of_files(d, tmp_path):
    for o in ('a.csv','deep/b.jsonl','deep/c.parquet'):
        (tmp_path/'in'/o).parent.mkdir(parents=True, exist_ok=True)
        source(tmp_path/'in'/o, 20)
    (tmp_path/'in/notes.md').write_text('x')
    done = score_files(tmp_path/'in', tmp_path/'out', d, chunk=8)
    assert done.rows==60 and sorted(str(o.relative_to(tmp_path/'out')) for o in done.files)==['a.csv','deep/b.jsonl','deep/c.parquet']
    assert [len(read(o)) for o in done.files]==[20]*3
    score_files(str(tmp_path/'in/deep/*.jsonl'), tmp_path/'more', d)
    assert (tmp_path/'more/b.jsonl').read_bytes()==(tmp_path/'out/deep/b.jsonl').read_bytes()
    assert sorted(o.name for o in tmp_path.iterdir())==['in','more','out']

@pytest.mark.parametrize('ending', ['csv','parquet'])
def test_no_rows(ending, d, tmp_path):
    "A header alone gives a header alone"
    pd.DataFrame(dict(text=pd.Series([], dtype=str), n=pd.Series([], dtype=str))).pipe(lambda df: df.to_csv(tmp_path/'a.csv', index=False) if ending=='csv' else df.to_parquet(tmp_path/'a.parquet'))
    score_files(tmp_path/f'a.{ending}', tmp_path/f'b.{ending}', d)
    block, = read_rows(tmp_path/f'b.{ending}')
    assert len(block)==0 and block.names[:3]==['text','n','toxic_score']

def test_decisions(d, tmp_path, monkeypatch):
    "What a policy decides, and the words of a list, have columns"
    def _more(det, texts, f=bulk.verdicts):
        v = f(det, texts)
        v.decisions,v.reasons = ['block']*len(texts),[[dict(kind='block', word='fool', score=None), dict(kind='label', label='toxic')]]*len(texts)
        return v
    monkeypatch.setattr(bulk, 'verdicts', _more)
    (tmp_path/'a.csv').write_text('text,n\nso,1\n,2\n')
    score_files(tmp_path/'a.csv', tmp_path/'b.jsonl', d)
    assert [(o['decision'],o['reason']) for o in read(tmp_path/'b.jsonl')]==[('block',"block: 'fool'"),(None,'empty')]

def test_progress(d, tmp_path):
    seen = []
    score_files(source(tmp_path/'a.csv'), tmp_path/'b.csv', d, chunk=20, progress=lambda p: seen.append((p.rows,p.share,p.remaining,str(p))))
    assert [o[0] for o in seen]==[20,40,60] and seen[-1][1:3]==(1,0) and re.fullmatch(r'60 rows \(100%\), [\d,]+ a second, 0 s left', seen[-1][3])

# Interrupted, and again

def interrupted(n):
    "Stops after `n` blocks, as Ctrl-C does"
    left = [n]
    def _f(p):
        left[0] -= 1
        if not left[0]: raise KeyboardInterrupt
    return _f

@pytest.mark.parametrize('ending', ['csv','jsonl.gz','parquet'])
def test_goes_on(ending, d, tmp_path):
    "The same bytes, and what was done is not done again"
    src,whole,dst = source(tmp_path/'a.csv'),tmp_path/f'whole.{ending}',tmp_path/f'b.{ending}'
    score_files(src, whole, d, chunk=7)
    for n in (3,2):
        with pytest.raises(KeyboardInterrupt): score_files(src, dst, d, chunk=7, progress=interrupted(n+3*(n==2)))
        assert not dst.exists()
    done = score_files(src, dst, d, chunk=7)
    assert dst.read_bytes()==whole.read_bytes() and done.rows==n_rows and done.earlier>=28 and not work_folder(dst).exists()

def test_folder_goes_on(d, tmp_path):
    "Files that are whole are not read again"
    for o in 'abc': source(tmp_path/f'in/{o}.csv' if (tmp_path/'in').mkdir(exist_ok=True) is None else None, 20)
    score_files(tmp_path/'in', tmp_path/'whole', d, chunk=6)
    with pytest.raises(KeyboardInterrupt): score_files(tmp_path/'in', tmp_path/'out', d, chunk=6, progress=interrupted(6))
    before = (tmp_path/'out/a.csv').stat().st_mtime_ns
    score_files(tmp_path/'in', tmp_path/'out', d, chunk=6)
    assert (tmp_path/'out/a.csv').stat().st_mtime_ns==before
    for o in 'abc': assert (tmp_path/f'out/{o}.csv').read_bytes()==(tmp_path/f'whole/{o}.csv').read_bytes()

@pytest.mark.parametrize('fresh', [False,True])
def test_somebody_elses_folder(fresh, d, tmp_path):
    "A link in the place of what a job keeps leads to somebody's files; and what else lies in a real one stays"
    src,dst = source(tmp_path/'a.csv'),tmp_path/'b.csv'
    (tmp_path/'home').mkdir()
    (tmp_path/'home'/'letter.txt').write_text('mine')
    work_folder(dst).symlink_to(tmp_path/'home')
    with pytest.raises(FileExistsError, match='is a link, which toxicai does not make'): score_files(src, dst, d, chunk=7, fresh=fresh)
    assert [o.name for o in (tmp_path/'home').iterdir()]==['letter.txt'] and not dst.exists()
    work_folder(dst).unlink()
    (tmp_path/'home').rename(work_folder(dst))
    score_files(src, dst, d, chunk=7, fresh=fresh)
    assert [o.name for o in work_folder(dst).iterdir()]==['letter.txt'] and len(read(dst))==n_rows

@pytest.mark.parametrize('at', ['join_bytes','file_digest','whole'])
def test_stopped_at_the_end(at, d, tmp_path, monkeypatch):
    "While the parts are joined, before the file takes its place, and right after"
    src,dst = source(tmp_path/'a.csv'),tmp_path/'b.csv'
    score_files(src, tmp_path/'whole.csv', d, chunk=7)
    def _stop(*args): raise KeyboardInterrupt
    with monkeypatch.context() as m:
        if at=='whole': m.setattr(bulk, 'remove_work', _stop)
        elif at=='file_digest': m.setattr(bulk, 'write_atomically', lambda p,f,g=bulk.write_atomically: _stop() if p.suffix=='.done' else g(p, f))
        else: m.setitem(row_formats, 'csv', row_formats['csv'].__class__('csv', ('.csv',), row_formats['csv'].read, row_formats['csv'].encode, _stop))
        with pytest.raises(KeyboardInterrupt): score_files(src, dst, d, chunk=7)
    assert dst.exists()==(at=='whole')
    score_files(src, dst, d, chunk=7)
    assert dst.read_bytes()==(tmp_path/'whole.csv').read_bytes() and not work_folder(dst).exists()

@pytest.mark.parametrize('change', [dict(chunk=9), dict(text='note'), dict(prefix='x_'), dict(how=TextOptions(encoding='latin-1')), 'threads', 'long', 'folder'])
def test_another_job_is_refused(change, folder, d, tmp_path):
    src,dst = source(tmp_path/'a.csv'),tmp_path/'b.csv'
    with pytest.raises(KeyboardInterrupt): score_files(src, dst, d, chunk=7, progress=interrupted(2))
    args = dict(detector=d, chunk=7)
    if change=='threads': args['detector'] = Detector(folder, 'onnx', threads=2)
    elif change=='long': args['detector'] = Detector(folder, 'onnx', threads=1, long='windows')
    elif change=='folder':
        learn = toxicity_learner(ToxicityDataLoaders.from_df(comments(), tiny_checkpoint(), text_col='text', label_cols=['toxic','insult'], bs=8))
        args['detector'] = Detector(learn.save_detector(tmp_path/'other', onnx=True), 'onnx', threads=1)
    else: args.update(change)
    with pytest.raises(ValueError, match='was made otherwise: .* pass `fresh=True`'): score_files(src, dst, **args)
    assert not dst.exists() and score_files(src, dst, d, chunk=7, fresh=True).earlier==0

def test_another_input_is_refused(d, tmp_path):
    "A row that was scored and is another now; one that was not reached may be mended"
    src,dst = source(tmp_path/'a.csv'),tmp_path/'b.csv'
    good = src.read_bytes()
    src.write_bytes(good+b'9,8,7,6\n')
    with pytest.raises(ValueError, match='row 60 has 4'): score_files(src, dst, d, chunk=7)
    assert len(list(work_folder(dst).glob('*-*')))==8 # a block that is not full waits for its end
    src.write_bytes(good.replace(b'n1', b'n9', 1))
    with pytest.raises(ValueError, match='rows 0 to 6 are not those'): score_files(src, dst, d, chunk=7)
    src.write_bytes(good)
    assert score_files(src, dst, d, chunk=7).earlier==56

# Kills

script = """
import sys
from toxicai.serve.bulk import score_files
def say(p): print(p.rows, flush=True)
if __name__=='__main__':
    src,dst,folder,workers = sys.argv[1:]
    score_files(src, dst, folder, chunk=100, workers=int(workers), progress=say, backend='onnx', threads=1)
    print('whole', flush=True)
"""

def started(tmp_path, src, dst, folder, workers=1):
    (tmp_path/'job.py').write_text(script)
    env = {**os.environ, 'PYTHONPATH':str(Path(bulk.__file__).parents[2])}
    return subprocess.Popen([sys.executable, str(tmp_path/'job.py'), str(src), str(dst), str(folder), str(workers)], stdout=subprocess.PIPE, text=True, env=env)

def finished(run):
    out = run.communicate()[0]
    assert run.returncode==0 and out.endswith('whole\n')
    return out.split()

@pytest.mark.slow
@pytest.mark.parametrize('ending,workers,number', [('csv',1,signal.SIGKILL),('parquet',2,signal.SIGKILL),('csv',2,signal.SIGTERM)])
def test_killed(ending, workers, number, folder, tmp_path):
    "The end of real processes, twice: the same bytes as without, and what was done is kept"
    src,dst,whole = source(tmp_path/f'a.{ending}', 1500),tmp_path/f'b.{ending}',tmp_path/f'whole.{ending}'
    finished(started(tmp_path, src, whole, folder))
    for n in (2,5):
        run = started(tmp_path, src, dst, folder, workers)
        for _ in range(n): run.stdout.readline()
        os.kill(run.pid, number)
        run.communicate()
        assert run.returncode!=0 and not dst.exists()
    out = finished(started(tmp_path, src, dst, folder, workers))
    assert dst.read_bytes()==whole.read_bytes() and not work_folder(dst).exists() and len(read(dst))==1500

@pytest.mark.slow
def test_processes_end(folder, tmp_path):
    "Those that judge end with the one that started them; one that is killed is an error that says so"
    psutil = pytest.importorskip('psutil')
    src = source(tmp_path/'a.csv', 30_000)
    for kill_all in (True,False):
        run = started(tmp_path, src, tmp_path/'b.csv', folder, 2)
        run.stdout.readline()
        def _judges(): return [o for o in psutil.Process(run.pid).children() if 'spawn_main' in ' '.join(o.cmdline())]
        end = time.monotonic()+60
        while len(judges := _judges())<2 and time.monotonic()<end: time.sleep(.05) # the second may start later
        assert len(judges)==2
        os.kill(run.pid if kill_all else judges[0].pid, signal.SIGKILL)
        run.communicate()
        assert run.returncode!=0 and not psutil.wait_procs(judges, timeout=30)[1]

@pytest.mark.slow
def test_workers(folder, tmp_path):
    "Several processes write what one does"
    src = source(tmp_path/'a.jsonl', 500)
    for k in (1,2): score_files(src, tmp_path/f'{k}.jsonl', folder, chunk=60, workers=k, backend='onnx', threads=1)
    assert (tmp_path/'1.jsonl').read_bytes()==(tmp_path/'2.jsonl').read_bytes()

# What cannot be done

def test_places(d, tmp_path):
    src = source(tmp_path/'a.csv')
    (tmp_path/'b.csv').write_text('mine')
    (tmp_path/'link.csv').symlink_to(src)
    cases = [(src,src,ValueError,'is input and output'), (src,tmp_path/'link.csv',ValueError,'is input and output'), (src,tmp_path/'b.csv',FileExistsError,'overwrite=True'), (src,tmp_path,ValueError,'does not say a format'),
             (tmp_path/'x.csv',tmp_path/'c.csv',FileNotFoundError,'no file'), (tmp_path,tmp_path/'out',ValueError,'lies in the input'), (tmp_path/'*.tsv',tmp_path/'out',FileNotFoundError,'has no CSV'), (src,tmp_path/'c.xlsx',ValueError,'does not say a format'),
             (src,tmp_path/'none'/'c.csv',FileNotFoundError,'there is no folder .*none. for .c.csv.')]
    for s,t,error,match in cases:
        with pytest.raises(error, match=match): score_files(s, t, d)
    assert (tmp_path/'b.csv').read_text()=='mine' and sorted(o.name for o in tmp_path.iterdir())==['a.csv','b.csv','link.csv']
    score_files(src, tmp_path/'b.csv', d, overwrite=True)
    assert len(read(tmp_path/'b.csv'))==n_rows

def test_columns(d, tmp_path):
    (tmp_path/'a.csv').write_text('Comment,toxic_score\nso,1\n')
    with pytest.raises(KeyError, match="did you mean 'Comment'"): score_files(tmp_path/'a.csv', tmp_path/'b.csv', d, text='comment')
    with pytest.raises(ValueError, match='pass `prefix=`'): score_files(tmp_path/'a.csv', tmp_path/'b.csv', d, text='Comment')
    with pytest.raises(ValueError, match='expected one'): score_files(tmp_path/'a.csv', tmp_path/'b.csv', d, text=['Comment','toxic_score'])
    score_files(tmp_path/'a.csv', tmp_path/'b.csv', d, text='Comment', prefix='our_', fresh=True)
    assert {'toxic_score','our_toxic_score'}<=set(read(tmp_path/'b.csv')[0])

def test_no_detector(tmp_path):
    with pytest.raises(FileNotFoundError, match='is not a folder'): score_files(source(tmp_path/'a.csv'), tmp_path/'b.csv', tmp_path/'nothing')
    assert [o.name for o in tmp_path.iterdir()]==['a.csv']

def test_no_permission(d, tmp_path):
    src,out = source(tmp_path/'a.csv'),tmp_path/'out'
    out.mkdir(mode=0o555)
    above = [o for o in {*tmp_path.parents,*d.folder.path.parents} if o.name.startswith(('pytest','popen'))]
    for o in (tmp_path,d.folder.path,d.folder.path.parent,*above): o.chmod(0o755)
    with as_nobody(),pytest.raises(OSError, match='Allow|allow'): score_files(src, out/'b.csv', d)
    assert not list(out.iterdir())

def test_full_disk(d, tmp_path):
    "What is done is kept; with more room the job goes on"
    src,dst = source(tmp_path/'a.csv', 600),tmp_path/'b.csv'
    score_files(src, tmp_path/'whole.csv', d, chunk=100)
    limits,old = resource.getrlimit(resource.RLIMIT_FSIZE),signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000,limits[1])) # a part has room, the whole has none
    try:
        with pytest.raises(OSError, match='blocks that are done are kept'): score_files(src, dst, d, chunk=100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, old)
    assert not dst.exists() and score_files(src, dst, d, chunk=100).earlier==600
    assert dst.read_bytes()==(tmp_path/'whole.csv').read_bytes()

# Pipes

def test_pipes(d, tmp_path):
    "From standard input to standard output, and to and from files"
    data = b''.join(json.dumps(o).encode()+b'\n' for o in rows())
    out = io.BytesIO()
    score_files(io.BytesIO(data), out, d, chunk=9)
    score_files(source(tmp_path/'a.jsonl'), tmp_path/'b.jsonl', d, chunk=9)
    assert out.getvalue()==(tmp_path/'b.jsonl').read_bytes()
    for s,t in ((io.BytesIO(data),tmp_path/'c.parquet'), (tmp_path/'a.jsonl',out := io.BytesIO())): score_files(s, t, d, chunk=9)
    assert read(tmp_path/'c.parquet')==[{**o} for o in read(tmp_path/'b.jsonl')] or len(read(tmp_path/'c.parquet'))==n_rows
    assert out.getvalue()==(tmp_path/'b.jsonl').read_bytes()

@pytest.mark.parametrize('end,match', [(b'{"text": "cut', 'is not JSON'), (b'{"text": "na\xefve"}\n', 'byte 0xef')])
def test_broken_pipes(end, match, d):
    "Rows before come out, then the error"
    out = io.BytesIO()
    with pytest.raises(ValueError, match=match): score_files(io.BytesIO(b'{"text": "so"}\n'*3+end), out, d, chunk=2)
    assert out.getvalue().count(b'\n') in (2,3)

def test_closed_pipe(d):
    r,w = os.pipe()
    os.close(r)
    with open(w, 'wb') as f, pytest.raises(BrokenPipeError):
        try: score_files(io.BytesIO(b'{"text": "so"}\n'*50), f, d, chunk=2)
        finally:
            with suppress(BrokenPipeError): f.close()

def test_row_without_text_in_a_pipe(d):
    with pytest.raises(KeyError, match="no column 'text'"): score_files(io.BytesIO(b'{"Text": "so"}\n'), io.BytesIO(), d)

@pytest.mark.parametrize('threads', [0,-2,1.5,True])
def test_threads_of_each(folder, tmp_path, threads):
    "A number of threads that is none is said, not taken for none given; the same holds for a service"
    from toxicai.serve.running import open_judging
    from toxicai.serve.service import ServiceConfig
    with pytest.raises(ValueError, match=f'`threads` is {threads}'):
        score_files(source(tmp_path/'a.csv'), tmp_path/'b.csv', folder, backend='onnx', threads=threads)
    with pytest.raises(ValueError, match=f'`threads` is {threads}'):
        open_judging(ServiceConfig(backend='onnx', threads=threads), folder)
