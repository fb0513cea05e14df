"Rows on disk train as rows in memory do; what is on disk is whole, or made anew"
import errno,os,random,signal,subprocess,sys,threading,time,traceback
from pathlib import Path

import datasets,numpy as np,pandas as pd,pytest,torch
from fastai.callback.core import Callback
from fastcore.basics import chunked
from fastai.torch_core import set_seed

from toxicai.all import *
from toxicai.data import store as room
from toxicai.data.batches import bucketed_order,given_weights,checked_weights,longest_first
from toxicai.data.encode import all_targets,token_ids
from toxicai.data.loaders import split_by_first
from toxicai.data.store import *
from toxicai.runs.checkpoints import same_weights
from toxicai.runs.snapshots import run_identity
from toxicai.train.losses import MaskedBCELoss
from toxicai.train.provenance import ids_digest
from toxicai.test_utils import comments,tiny_checkpoint
from samples import as_nobody

pytestmark = pytest.mark.filterwarnings('ignore')

def varied(n):
    "Comments of many lengths, with copies"
    rng,words = random.Random(1),'you are an idiot and nobody likes what they write here'.split()
    texts = [' '.join(rng.choices(words, k=rng.randint(1, 30)))+f' {i%(n-8)}' for i in range(n)]
    toxic = [rng.random()<0.4 for _ in texts]
    return pd.DataFrame(dict(text=texts, toxic=[float(o) for o in toxic], insult=[float(o and rng.random()<0.5) for o in toxic],
                             label=['rude' if o else 'kind' for o in toxic], w=[rng.random()+0.1 for _ in texts]))

def both(df, tmp_path, suffix='.parquet', **kwargs):
    "Loaders of the same rows on disk and in memory"
    file = tmp_path/f'rows{suffix}'
    df.to_parquet(file) if suffix=='.parquet' else df.to_csv(file, index=False)
    on_disk = lambda: ToxicityDataLoaders.from_store(file, tiny_checkpoint(), bs=8, folder=tmp_path/'stores', **kwargs)
    in_memory = lambda: ToxicityDataLoaders.from_csv(file, tiny_checkpoint(), bs=8, **kwargs)
    res = []
    for make in (on_disk,in_memory):
        set_seed(1)
        res.append(make())
    return res

def trained(dls, **kwargs):
    set_seed(2, reproducible=True)
    learn = toxicity_learner(dls, metrics=[], seed=3, **kwargs)
    with learn.no_bar(), learn.no_logging(): learn.fit(1, 1e-3)
    return learn

cases = {'single':dict(label_cols='label'), 'multi':dict(label_cols=['toxic','insult']), 'weights':dict(label_cols=['toxic','insult'], weight_col='w'),
         'balance':dict(label_cols='label', balance=1.), 'cut':dict(label_cols='label', max_length=12, cut='head_tail')}

@pytest.mark.parametrize('how', cases.values(), ids=cases.keys())
def test_as_in_memory(how, tmp_path):
    "The same split, the same batches in the same order, the same weights"
    a,b = both(varied(96), tmp_path, text_col='text', **how)
    assert a.valid_ds.items.index.tolist()==b.valid_ds.items.index.tolist()
    assert same_weights(trained(a).model, trained(b).model)

def test_gaps_and_pairs(tmp_path):
    "Labels that nobody gave are NaN, and a pair of texts is one"
    df = varied(64)
    df.loc[::5, 'insult'] = np.nan
    df['other'] = df.text.str[::-1]
    a,b = both(df, tmp_path, text_col=['text','other'], label_cols=['toxic','insult'], suffix='.csv')
    for (x,y),(x2,y2) in zip(a.valid, b.valid): assert torch.equal(x, x2) and torch.allclose(y, y2, equal_nan=True)
    assert torch.isnan(a.train_ds.tls[1]._targs).any()

def test_own_splits(tmp_path):
    "Rows of a test split stay out, and the numbers of rows are those of the file"
    df = varied(60).assign(split=['train']*30+['test']*10+['dev']*20)
    df.to_parquet(tmp_path/'rows.parquet')
    dls = ToxicityDataLoaders.from_store(tmp_path/'rows.parquet', tiny_checkpoint(), 'text', 'label', bs=4, folder=tmp_path/'s')
    assert dls.train_ds.items.index.tolist()==list(range(30)) and dls.valid_ds.items.index.tolist()==list(range(40, 60))
    assert torch.equal(dls.valid_ds[3][0], dls.test_dl(df.text[43]).dataset[0][0])

@pytest.mark.parametrize('split', [True,False], ids=['own','drawn'])
def test_record_of_the_split(split, tmp_path):
    "The record says how the rows were split, on disk as in memory"
    df = varied(60)
    if split: df = df.assign(split=['train']*40+['dev']*20)
    df.to_parquet(tmp_path/'rows.parquet')
    on_disk = ToxicityDataLoaders.from_store(tmp_path/'rows.parquet', tiny_checkpoint(), 'text', 'label', bs=4, folder=tmp_path/'s')
    in_memory = ToxicityDataLoaders.from_df(load_comments(tmp_path/'rows.parquet', 'text', 'label'), tiny_checkpoint(), bs=4)
    assert on_disk.split_args==in_memory.split_args
    assert on_disk.split_args['valid_col']==('side of the split' if split else None)

def test_everything_else(tmp_path):
    "What learners and reports ask of loaders"
    a,b = both(varied(96), tmp_path, text_col='text', label_cols='label')
    learn,other = trained(a),trained(b)
    assert torch.equal(learn.get_preds()[0], other.get_preds()[0])
    assert learn.judged().texts==other.judged().texts
    assert learn.judged().index.tolist()==other.judged().index.tolist()
    assert ids_digest(token_ids(a.train_ds.tls[0]))==ids_digest(token_ids(b.train_ds.tls[0]))
    learn.export(tmp_path/'x.pkl')
    assert (tmp_path/'x.pkl').stat().st_size<5e6
    learn.save_detector(tmp_path/'detector')
    assert np.allclose(Detector(tmp_path/'detector')(['you idiot']).scores, learn.classify(['you idiot'])[list(learn.labels)], atol=1e-5)

# What is on disk

def made(tmp_path, **kwargs):
    "Loaders, and how often texts were tokenised for them"
    df,n = varied(64),[]
    if not (tmp_path/'rows.parquet').exists(): df.to_parquet(tmp_path/'rows.parquet')
    old = room.write_tokens
    room.write_tokens = lambda *args: n.append(1) or old(*args)
    try: dls = ToxicityDataLoaders.from_store(tmp_path/'rows.parquet', tiny_checkpoint(), 'text', 'label', bs=8, folder=tmp_path/'s', **kwargs)
    finally: room.write_tokens = old
    return dls,len(n)

def test_reused(tmp_path):
    "Made once; another seed needs no new tokens, other settings and another file do"
    assert [made(tmp_path)[1] for _ in range(2)]==[1,0]
    assert made(tmp_path, seed=7)[1]==0
    assert made(tmp_path, max_length=9)[1]==1
    assert made(tmp_path, rules='none')[1]==1
    varied(64).assign(text=lambda d: d.text+'!').to_parquet(tmp_path/'rows.parquet')
    assert made(tmp_path)[1]==1

def of_kind(tmp_path, kind): return [tmp_path/'s'/o/'data' for o in stores(tmp_path/'s').query('kind==@kind').name]

@pytest.mark.parametrize('name', ['input_ids.bin','lengths.bin','about.json'])
@pytest.mark.parametrize('damage', ['cut','changed','gone'])
def test_damaged(name, damage, tmp_path):
    "Not one byte may differ"
    first,_ = made(tmp_path)
    x = first.valid.one_batch()[0]
    path = of_kind(tmp_path, 'tokens')[0]/name
    data = path.read_bytes()
    path.unlink() if damage=='gone' else path.write_bytes(data[:-3] if damage=='cut' else data[:-1]+bytes([data[-1]^1]))
    again,n = made(tmp_path)
    assert n==1 and torch.equal(again.valid.one_batch()[0], x) and torch.equal(first.valid.one_batch()[0], x)

def test_other_version(tmp_path, monkeypatch):
    "A store of another version is not read"
    made(tmp_path)
    monkeypatch.setattr(room, 'store_version', 99)
    assert made(tmp_path)[1]==1

def test_not_a_store(tmp_path):
    "Other people's files in the folder stay"
    made(tmp_path)
    (tmp_path/'s'/'notes.txt').write_text('mine')
    (tmp_path/'s'/('a'*24)).write_text('mine too')
    remove_stores('all', folder=tmp_path/'s')
    assert {o.name for o in (tmp_path/'s').iterdir()}=={'notes.txt', 'a'*24}

def test_full_disk(tmp_path, monkeypatch):
    "What was finished stays, and what was half written is gone"
    dls,_ = made(tmp_path)
    before = {o.name for o in (tmp_path/'s').rglob('*')}
    def _full(folder, *args):
        (folder/'input_ids.bin').write_bytes(b'half')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(room, 'write_tokens', _full)
    with pytest.raises(OSError, match=r'No space left.*finished stores are whole.*`toxicai store remove`.*`folder=`'):
        ToxicityDataLoaders.from_store(tmp_path/'rows.parquet', tiny_checkpoint(), 'text', 'label', bs=8, folder=tmp_path/'s', max_length=9)
    after = {o.name for o in (tmp_path/'s').rglob('*')}
    assert len(after-before)==1 and before<=after and made(tmp_path)[1]==0 # the empty place of what was asked for

def test_no_permission(tmp_path):
    "A folder that may not be written to is named, with what to do"
    home = tmp_path/'s'
    home.mkdir(mode=0o555)
    os.chmod(tmp_path, 0o755)
    with as_nobody(), pytest.raises(OSError, match=f'no store could be written to .{home}. .Permission denied|Operation not permitted.*`folder=`'):
        kept_store(home, store_facts('test'), lambda folder: {})

def test_two_at_once(tmp_path):
    "One writes, the other waits and reads"
    n,facts = [],store_facts('test')
    def _write(folder):
        n.append(1)
        time.sleep(0.3)
        (folder/'a.bin').write_bytes(b'12')
        return {}
    threads = [threading.Thread(target=kept_store, args=(tmp_path/'s',facts,_write)) for _ in range(4)]
    for o in threads: o.start()
    for o in threads: o.join()
    assert len(n)==1 and kept_store(tmp_path/'s', facts, None).is_dir()

writer = """
import sys,time
from pathlib import Path
from toxicai.data.store import *
def write(folder):
    (folder/'a.bin').write_bytes(b'12')
    print('writing', flush=True)
    time.sleep(60)
kept_store(Path(sys.argv[1]), store_facts('test'), write)
"""

@pytest.mark.slow
def test_killed_writer(tmp_path):
    "A writer that is killed leaves nothing that is taken for whole, and no lock"
    run = subprocess.Popen([sys.executable, '-c', writer, str(tmp_path/'s')], stdout=subprocess.PIPE, text=True)
    assert run.stdout.readline()=='writing\n'
    run.kill()
    run.communicate()
    def _write(folder):
        (folder/'a.bin').write_bytes(b'34')
        return {}
    data = kept_store(tmp_path/'s', store_facts('test'), _write)
    assert (data/'a.bin').read_bytes()==b'34' and sorted(o.name for o in data.parent.iterdir())==['data']

class Kill(Callback):
    "Ends the process at a training batch"
    order = 2000
    def __init__(self, at): self.at = at
    def after_batch(self):
        if self.training and self.train_iter==self.at: os.kill(os.getpid(), signal.SIGKILL)

def fitted(home, at, verb):
    "Train from the store, or go on, and keep the weights"
    torch.set_num_threads(1)
    set_seed(4, reproducible=True)
    dls = ToxicityDataLoaders.from_store(home/'rows.parquet', tiny_checkpoint(), 'text', 'label', bs=8, weight_col='w', folder=home/'s')
    learn = toxicity_learner(dls, metrics=[], seed=3)
    with learn.no_bar(), learn.no_logging():
        if verb=='fit': learn.fit_one_cycle(2, 1e-3, cbs=[Checkpoint(home/'run', every=2), Kill(at)])
        else: learn.resume(home/'run', cbs=Kill(at))
    torch.save(learn.model.state_dict(), home/'weights.pt')

def in_child(f, *args):
    "Exit status of a process of its own"
    pid = os.fork()
    if pid: return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try: f(*args)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)

@pytest.mark.slow
def test_resumed(tmp_path):
    "A run that is killed twice goes on from the same store to the same weights"
    varied(96).to_parquet(tmp_path/'rows.parquet')
    tiny_checkpoint()
    assert in_child(fitted, tmp_path, 0, 'fit')==0
    whole = torch.load(tmp_path/'weights.pt')
    for o in (tmp_path/'run').iterdir(): o.unlink()
    (tmp_path/'weights.pt').unlink()
    assert [in_child(fitted, tmp_path, *o) for o in ((5,'fit'),(13,'resume'),(0,'resume'))]==[-signal.SIGKILL,-signal.SIGKILL,0]
    assert all(torch.equal(v, whole[k]) for k,v in torch.load(tmp_path/'weights.pt').items())

def test_same_run(tmp_path):
    "What a checkpoint compares is the same for a store that was opened again, and not for other rows"
    a,b,c = [toxicity_learner(made(tmp_path, **o)[0], metrics=[]) for o in ({},{},dict(seed=7))]
    assert run_identity(a)==run_identity(b) and run_identity(a)['data']!=run_identity(c)['data']

# Order and sides of many rows

def sorted_one_by_one(idxs, lengths, bs, pool, rng):
    by_length = lambda o: sorted(o, key=lambda i: -lengths[i])
    batches = [b for p in chunked(idxs, bs*pool) for b in chunked(by_length(p), bs)]
    last = [] if len(batches[-1])==bs else [batches.pop()]
    return [i for b in rng.sample(batches, len(batches))+last for i in b]

def test_order():
    "Whole arrays are ordered as rows one by one are"
    for seed in range(200):
        rng = random.Random(seed)
        n,bs,pool = rng.randrange(1, 300),rng.randrange(1, 20),rng.randrange(1, 6)
        lengths,idxs = np.array([rng.randrange(1, 9) for _ in range(n)]),rng.sample(range(n), n)
        expected = sorted_one_by_one(idxs, lengths, bs, pool, random.Random(seed))
        assert bucketed_order(idxs, lengths, bs, pool, random.Random(seed)).tolist()==expected
        assert longest_first(idxs, lengths).tolist()==sorted(idxs, key=lambda i: -lengths[i])

def test_split_by_first():
    "Copies stay together, and both sides have their shares of rows and labels"
    rng = np.random.default_rng(0)
    groups = pd.factorize(rng.integers(0, 4000, 10000))[0]
    df = pd.DataFrame(dict(toxic=(groups%5==0).astype('float32'), insult=(groups%25==0).astype('float32')))
    train,valid = split_by_first(df, groups, 0.2, 1)
    assert not set(groups[train]) & set(groups[valid]) and len(train)+len(valid)==10000
    assert abs(len(valid)/10000-0.2)<0.02 and abs(df.toxic[valid].mean()-df.toxic[train].mean())<0.03

def test_tensor_weights():
    "Weights in a tensor are checked as those of a column are"
    rows = type('Rows', (), dict(items=pd.DataFrame(index=[5,6,7]), __len__=lambda self: 3))()
    assert checked_weights(given_weights(rows, torch.tensor([1.,2.,0.]))).tolist()==[1.,2.,0.]
    with pytest.raises(ValueError, match='row 6 is nan'): checked_weights(given_weights(rows, torch.tensor([1.,float('nan'),0.])))

# Streams

def streamed(train, tmp_path=None, **kwargs):
    how = dict(steps=6, buffer=40, bs=8, label_cols=['toxic','insult'])|kwargs
    return ToxicityDataLoaders.from_stream(train, varied(40), tiny_checkpoint(), **how)

def numbered(n):
    "Rows whose number can be told from a target"
    return [dict(text='you are '+'an idiot '*(i%20), toxic=i/n, insult=1.) for i in range(n)]

def numbers_of(batches, n): return sorted(round(float(o)*n) for _,y in batches for o in y[:,0])

shares = dict(steps=12, label_cols=['toxic','insult'])

def test_stream_is_read_once():
    "Every row comes once in a turn, in buckets, and no more is read than is held"
    n = []
    def _rows():
        for o in numbered(96):
            n.append(o)
            yield o
    dls = ToxicityDataLoaders.from_stream(_rows, varied(40).assign(toxic=np.linspace(0, 1, 40)), tiny_checkpoint(), buffer=48, bs=8, **shares)
    it = iter(dls.train)
    batches = [next(it)]
    assert len(n)==48
    batches += it
    assert numbers_of(batches, 96)==list(range(96)) and len(batches)==12
    padding = np.mean([float((x[:,-1]==0).float().mean()) for x,_ in batches])
    assert padding<0.2

def test_stream_goes_on():
    "The next epoch begins where the last one ended, and labels stay with their texts"
    dls = ToxicityDataLoaders.from_stream(numbered(64), varied(40).assign(toxic=np.linspace(0, 1, 40)), tiny_checkpoint(), buffer=16, bs=8, **{**shares, 'steps':4})
    first,second = [numbers_of(dls.train, 64) for _ in range(2)]
    assert sorted(first+second)==list(range(64)) and max(first)<40

def test_stream_of_datasets():
    "Class numbers of a data set have their names, and a shuffled stream has another order in each turn"
    import datasets as hf
    df = varied(64)
    ds = hf.Dataset.from_pandas(df[['text','label']]).cast_column('label', hf.ClassLabel(names=['kind','rude'])).to_iterable_dataset()
    dls = ToxicityDataLoaders.from_stream(ds.shuffle(seed=1, buffer_size=64), df, tiny_checkpoint(), steps=8, buffer=64, bs=8)
    names = dict(zip(df.text, df.label))
    assert list(dls.vocab)==['kind','rude']
    y = torch.cat([y for _,y in dls.train])
    assert int(y.sum())==(df.label=='rude').sum()

@pytest.mark.parametrize('row,error', [
    (dict(text='a', toxic=2., insult=0.), 'goes from'), (dict(text=None, toxic=1., insult=0.), 'row 3'),
    (dict(text='a', toxic=1.), 'no column|insult'), ('a', 'row 3 of the stream is a str')])
def test_stream_with_faults(row, error):
    "A row that is none is named"
    rows = [o for o in varied(40)[['text','toxic','insult']].to_dict('records')]
    rows[3] = row
    if isinstance(row, dict) and 'insult' not in row: rows = [{k:v for k,v in o.items() if k!='insult'} for o in rows]
    with pytest.raises((ValueError,TypeError,KeyError), match=error): streamed(rows).one_batch()

def test_stream_trains(tmp_path):
    "Fit, weights, new data, export; what needs a length says so"
    rows = varied(200).to_dict('records')
    dls = streamed(lambda: iter(rows), weight_col='w')
    x,y = dls.one_batch()
    assert y.sample_weight.shape==(8,) and x.ndim==3
    learn = trained(dls)
    assert learn.train_iter==6 and len(learn.get_preds()[0])==40
    assert len(learn.classify(['you idiot']))==1
    learn.export(tmp_path/'x.pkl')
    learn.save_detector(tmp_path/'detector')
    with pytest.raises(TypeError, match='`ToxicityDataLoaders.from_store` puts rows on disk'): learn.fit(1, cbs=Checkpoint(tmp_path/'run'))
    with pytest.raises(ValueError, match='those of a stream'): toxicity_learner(dls, loss_func=MaskedBCELoss(pos_weight='balanced'))

def test_one_pass_only():
    "An iterator cannot be read twice"
    dls = streamed(iter(varied(40).to_dict('records')))
    with pytest.raises(ValueError, match='an iterator cannot be read again'): list(dls.train)

def mapped_kib(path):
    "KiB of a file that this process has in memory"
    here,found = False,0
    for line in Path('/proc/self/smaps').read_text().splitlines():
        if '-' in line.split()[0]: here = line.endswith(path)
        elif here and line.startswith('Rss:'): found += int(line.split()[1])
    return found

@pytest.mark.skipif(not Path('/proc/self/smaps').exists(), reason='/proc says what is mapped')
def test_pages_are_given_back(tmp_path):
    "Passes over all texts leave none of them in memory"
    df = pd.DataFrame(dict(text=[f'{i} '*60 for i in range(40_000)], toxic=[0,1]*20_000))
    df.to_parquet(tmp_path/'c.parquet')
    data = load_comments(tmp_path/'c.parquet', 'text', 'toxic').data
    file = data.cache_files[0]['filename']
    before = mapped_kib(file)
    digest = columns_digest(data, ['text'])
    assert mapped_kib(file)<before+1000<Path(file).stat().st_size/1024
    assert digest==columns_digest(datasets.Dataset.from_pandas(df), ['text'])
    assert [o for part in text_blocks(data, ['text'], n=999) for o in part]==df.text.tolist()
    assert mapped_kib(file)<before+1000
    data.with_format('arrow')[:]['text'].to_pylist()
    assert mapped_kib(file)>before+1000

# Memory that does not grow with what was read

def test_order_of_rows(tmp_path):
    "The order of the same rows in memory, in four bytes each"
    a,b = both(varied(96), tmp_path, text_col='text', label_cols='label')
    assert isinstance(a.train, StoredDL) and not isinstance(b.train, StoredDL)
    for o,p in ((a.train,b.train), (a.valid,b.valid)):
        for _ in range(2):
            o.rng,p.rng = random.Random(5),random.Random(5)
            assert list(o.get_idxs())==p.get_idxs()==list(o.rows_of_pass) and o.rows_of_pass.itemsize==4
    assert all(type(i) is int for i in a.train.get_idxs())
    ids = token_ids(a.train_ds.tls[0])
    assert ids.lengths.dtype==ids.full.dtype==a.train_ds.items.rows.dtype==np.int32

def test_changes_stay():
    "Only what can be read again is given back"
    kept = np.arange(5)
    give_back(kept, None, [1])
    assert kept.tolist()==[0,1,2,3,4]

def test_changed_targets_stay(tmp_path):
    "Targets that a user changed are those that train"
    dls,_ = made(tmp_path)
    targs = all_targets(dls.train_ds.tls[1])
    targs[:] = 1
    give_back(open_side(of_kind(tmp_path, 'sides')[0], 'targets-0'), targs.numpy())
    for _ in range(2): assert all((y==1).all() for _,y in dls.train)

@pytest.mark.skipif(not Path('/proc/self/smaps').exists(), reason='/proc says what is mapped')
def test_pages_go(tmp_path):
    "What was read of a file leaves the memory of the process, and is read again"
    np.arange(2**22, dtype=np.int32).tofile(tmp_path/'a.bin')
    a = np.memmap(tmp_path/'a.bin', np.int32, 'r')
    total,file = a.sum(),str(tmp_path/'a.bin')
    assert mapped_kib(file)>16_000
    give_back(a)
    assert mapped_kib(file)<1000 and a.sum()==total

def test_pages_go_between_batches(tmp_path, monkeypatch):
    "Those of the tokens, for training and validation, as often as the loader says"
    dls,given = made(tmp_path)[0],[]
    dls.train.every = dls.valid.every = 10
    monkeypatch.setattr(room, 'give_back', lambda *arrays: given.append(arrays))
    assert len(list(dls.train.create_batches([0]*168)))==21 and len(given)==2
    list(dls.valid.create_batches([0]*80))
    assert len(given)==3 and all(o.mode=='r' and Path(o.filename).name.endswith('.bin') for arrays in given for o in arrays)
    assert {len(o) for o in given}=={len(token_ids(dls.train_ds.tls[0]).arrays)}

def test_few_kernels(monkeypatch):
    "What was set is left alone"
    from toxicai.data.store import keep_few_kernels,kernels_kept
    name = 'ONEDNN_PRIMITIVE_CACHE_CAPACITY'
    monkeypatch.setenv(name, '7')
    keep_few_kernels()
    assert os.environ[name]=='7'
    monkeypatch.delenv(name)
    keep_few_kernels()
    assert os.environ[name]==str(kernels_kept)
