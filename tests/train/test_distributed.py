"Real processes (torchrun, gloo) give what one process gives with the joint batch; what fails ends all; what is stopped goes on (with `runs`)"
import os,shutil,signal,subprocess,sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np,pytest,torch

sys.path.append(str(Path(__file__).parent)) # for what the processes run, also where it is not collected
import rank_job
from toxicai.all import *
from toxicai.test_utils import comments,tiny_checkpoint
from toxicai.train.distil import SoftTargets
from toxicai.train.distributed import as_rank,dealt,load_spread,lone_launch,rank_dl,token_loads,Ranks

def launch(case, folder, *args, n=2, seconds=500):
    "Run `case` of rank_job.py in `n` processes; what they say"
    cmd = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', str(n), rank_job.__file__, case, str(folder), *args]
    env = {**os.environ, 'OMP_NUM_THREADS':'1', 'PYTHONPATH':os.pathsep.join(sys.path)}
    return subprocess.run(cmd, env=env, capture_output=True, text=True, timeout=seconds)

def results(case, folder, *args):
    "What each of two processes found out"
    run = launch(case, folder, *args)
    assert not run.returncode, run.stderr[-3000:]
    return [torch.load(folder/f'rank{r}.pt') for r in (0,1)]

def furthest(a, b): return max(float((a[k]-b[k]).abs().max()) for k in a)

# The joint batch

# Gradients are sums of fp32 numbers in another order: about 1e-7 of a step of 0.04 in all. In bf16 other kernels round at 2**-8,
# so steps differ by that share
tolerances = {**dict.fromkeys(rank_job.settings, 2e-6), 'bf16':1e-3, 'together':1e-3}

@pytest.fixture(scope='module')
def agreeing(tmp_path_factory): return results('agree', tmp_path_factory.mktemp('ranks'))

@pytest.mark.slow
@pytest.mark.parametrize('case', rank_job.settings)
def test_weights_of_the_joint_batch(case, agreeing):
    "Gaps, weights of texts, class weights, unequal rows in the last batch; both processes have the same weights, bit by bit"
    a,(b,c) = rank_job.trained(lambda o: nullcontext(), 2, **rank_job.settings[case]),[o[case] for o in agreeing]
    assert furthest(b['weights'], c['weights'])==0 and a['steps']==b['steps']
    assert furthest(a['weights'], b['weights'])<tolerances[case]
    assert furthest(a['weights'], rank_job.weights(rank_job.learner(2, labels=rank_job.settings[case].get('labels', 'multi'))))>5e-3
    np.testing.assert_allclose(a['losses'], b['losses'], atol=tolerances[case])

@pytest.mark.slow
@pytest.mark.parametrize('case', rank_job.settings)
def test_validation_counts_each_row_once(case, agreeing):
    "Figures of every epoch, of `validate`, and predictions of both sides with their losses, in the order of the rows"
    a,(b,c) = rank_job.trained(lambda o: nullcontext(), 2, **rank_job.settings[case]),[o[case] for o in agreeing]
    tol = 1e-6 if rank_job.settings[case].get('precision')!='bf16' else 1e-3
    for k in ('valid','table'):
        assert b[k]==c[k]
        np.testing.assert_allclose(a[k], b[k], atol=tol)
    for x,y,z in zip(a['preds'], b['preds'], c['preds']):
        assert torch.equal(y.nan_to_num(-1), z.nan_to_num(-1))
        np.testing.assert_allclose(x, y, atol=tol)

# Failures

@pytest.fixture(scope='module')
def failing(tmp_path_factory): return results('failures', tmp_path_factory.mktemp('ranks'))

@pytest.mark.slow
@pytest.mark.parametrize('case,guilty', [('raises',1),('first raises',0)])
def test_one_that_fails_ends_the_others(case, guilty, failing):
    own,other = failing[guilty][case],failing[1-guilty][case]
    assert own['name']=='ValueError' and other['name']=='RankError'
    assert f'rank {guilty}: ValueError' in other['said'] and 'no such planet' in other['said']
    assert own['iter']==other['iter']==2 # no step was made without the other

@pytest.mark.slow
@pytest.mark.parametrize('case,error', [('before_train','ValueError'), ('after_step','ValueError'), ('after_epoch','ValueError'), ('validates','ValueError'), ('loads','OSError')])
def test_wherever_it_fails(case, error, failing):
    "In a callback of an epoch, of a step or of validation, or while a batch is read: the others end with the reason"
    own,other = failing[1][case],failing[0][case]
    assert own['name']==error and other['name']=='RankError' and f'rank 1: {error}' in other['said'] and 'no such planet' in other['said']

@pytest.mark.slow
@pytest.mark.parametrize('case,said', [
    ('other rows', 'rank 1: number of training rows 40, not 42'), ('other split', 'rank 1: contents of training rows'),
    ('other rate', 'rank 1: learning rate 0.002, not 0.001'), ('other texts', 'rank 1: number of rows 1, not 2')])
def test_all_must_have_the_same(case, said, failing):
    for o in failing:
        assert o[case]['name']=='RankError' and said in o[case]['said'] and 'the same files in the same order' in o[case]['said']

@pytest.mark.slow
@pytest.mark.parametrize('case', ['sleeps','late'])
def test_one_that_does_not_answer(case, failing):
    for o in failing: assert o[case]['name']=='RankError'
    assert 'does not answer' in failing[0][case]['said'] and 'distrib_ctx(timeout=...)' in failing[0][case]['said']

@pytest.mark.slow
def test_killed(tmp_path):
    "Torchrun ends the rest, and does not wait"
    run = launch('killed', tmp_path)
    assert run.returncode and 'SIGKILL' in run.stderr
    assert not (tmp_path/'ended0').exists()

# Callbacks

@pytest.mark.slow
def test_stops_together_and_goes_on(tmp_path):
    "A signal for one process; the checkpoint is written once; weights are those of a run without a stop, with dropout and bf16"
    shutil.copytree(tiny_checkpoint(), tmp_path/'tiny')
    a,b = results('signals', tmp_path)
    assert a['iter']==b['iter'] and 0<a['iter']<12
    for o in (a,b):
        assert 'stopped, and saved: fit 2, epoch 1' in o['said'] and o['same'] and o['moved']
        assert o['tables'][0][-2:]==o['tables'][1][-2:]
        assert 'loaders.train.processes: was 2, is None' in o['alone']
    assert furthest(a['weights'], b['weights'])==0
    assert len(list((tmp_path/'run').glob('*.pt')))==2

@pytest.mark.slow
def test_what_writes_and_what_decides(tmp_path):
    "One file of each kind, one run of W&B with its texts and model; all stop after the same epoch, with the best weights"
    shutil.copytree(tiny_checkpoint(), tmp_path/'tiny')
    a,b = results('trackers', tmp_path)
    assert a['epochs']==b['epochs']<12 and a['table']==b['table'] and furthest(a['weights'], b['weights'])==0
    assert a['same'] and b['same'] and a['run'] and b['run']
    assert len(list((tmp_path/'wandb').glob('offline-run-*')))==1
    rows = [o for o in (tmp_path/'history.csv').read_text().splitlines() if o[0].isdigit()]
    assert len(rows)==a['epochs']
    best = torch.load(tmp_path/'models/model.pth')
    assert furthest(a['weights'], best['model'] if 'model' in best else best)==0
    assert (tmp_path/'export.pkl').exists()

# Launchers

accelerated = """
import sys
sys.path[:0] = {here!r}
import rank_job
from fastai.torch_core import rank_distrib
learn = rank_job.learner(1)
with learn.no_logging(),learn.distrib_ctx(timeout=60):
    learn.fit(1, 0.1)
    sys.stdout.write(f'trained as {{learn.ranks}}\\n') # in one piece, since both write to the same pipe
"""

def accelerate(tmp_path, *flags):
    "What a script says that `accelerate launch` starts"
    file = tmp_path/'job.py'
    file.write_text(accelerated.format(here=[str(Path(__file__).parent), *sys.path]))
    env = {k:v for k,v in os.environ.items() if not k.startswith('ACCELERATE')}|{'OMP_NUM_THREADS':'1', 'HF_HOME':str(tmp_path)} # no configuration of this machine
    cmd = [sys.executable, '-m', 'accelerate.commands.launch', *flags, '--num_machines', '1', '--mixed_precision', 'no', '--dynamo_backend', 'no', str(file)]
    run = subprocess.run(cmd, env=env, capture_output=True, text=True, timeout=500)
    assert not run.returncode, run.stderr[-3000:]
    return run

@pytest.mark.slow
def test_accelerate_with_cpu_is_one_process(tmp_path):
    "It sets an address for several, starts one, and the context tells; the line that it names starts two"
    run = accelerate(tmp_path, '--cpu', '--num_processes', '2')
    assert run.stdout.count('trained as None')==1 and '`accelerate launch` was asked for several processes and has started one' in run.stderr
    flags = ['--multi_gpu','--num_processes','2']
    assert ' '.join(['accelerate launch', *flags]) in run.stderr
    run = accelerate(tmp_path, *flags)
    assert sorted(o for o in run.stdout.splitlines() if o.startswith('trained'))==['trained as rank 0 of 2','trained as rank 1 of 2']
    assert 'this training is alone' not in run.stderr

cpu = dict(ACCELERATE_USE_CPU='True')
@pytest.mark.parametrize('env,said', [
    ({}, ''), (cpu, ''), (dict(MASTER_ADDR='127.0.0.1'), ''), ({**cpu, 'MASTER_ADDR':'127.0.0.1'}, '`accelerate launch` was asked'),
    (dict(ACCELERATE_USE_CPU='False', MASTER_ADDR='10.0.0.1', MASTER_PORT='29500'), '`accelerate launch` was asked'),
    (dict(WORLD_SIZE='1', RANK='0', MASTER_ADDR='127.0.0.1', **cpu), ''), (dict(WORLD_SIZE='2', RANK='1', MASTER_ADDR='127.0.0.1', **cpu), ''),
    (dict(OMPI_COMM_WORLD_SIZE='4'), 'mpirun has started 4 processes'), (dict(PMI_SIZE='1'), ''), (dict(PMI_SIZE=''), ''), (dict(MV2_COMM_WORLD_SIZE='2'), '--nproc-per-node 2')])
def test_lone_launch(env, said):
    found = lone_launch(env)
    assert said in found and bool(said)==bool(found)

# Without processes

def test_what_cannot_be_shared():
    "Rows of a stream, and what a teacher said of rows"
    rows = comments(24).to_dict('records')
    dls = ToxicityDataLoaders.from_stream(rows, comments(24), tiny_checkpoint(), steps=2, buffer=16, bs=4)
    with pytest.raises(TypeError, match='cannot share a stream.*from_store'):
        with as_rank(toxicity_learner(dls), Ranks()): pass
    learn = rank_job.learner(1)
    with pytest.raises(RuntimeError, match='learns from its teacher in one process'),as_rank(learn, Ranks()):
        learn.fit(1, cbs=SoftTargets(np.zeros((42,2))))

@pytest.mark.parametrize('n_ranks', [1,2,3,7])
@pytest.mark.parametrize('bs', [1,2,6,16])
def test_deals(n_ranks, bs):
    "Every text once, as many places for each, and loads that differ by the longest text at most"
    lengths = np.random.default_rng(bs).integers(1, 500, (9,bs))
    places = dealt(lengths, n_ranks)
    assert places.shape==(9,n_ranks,-(-bs//n_ranks))
    for p,l in zip(places, lengths):
        assert sorted(p[p>=0])==list(range(bs))
        loads = np.array([l[o[o>=0]].sum() for o in p])
        assert np.ptp(loads)<=l.max()

@pytest.mark.parametrize('lazy', [False,True])
@pytest.mark.parametrize('drop_last', [True,False])
def test_parts_are_the_batches_of_one_process(lazy, drop_last):
    "The same seed gives the same joint batches, also in the second epoch; places are filled, and shares nearly equal"
    def loader(bs):
        dls = ToxicityDataLoaders.from_df(rank_job.rows(100), tiny_checkpoint(), label_cols='label', valid_pct=0.2, bs=bs, lazy=lazy)
        seed_everything(7, dls)
        return dls.train.new(drop_last=drop_last) if not drop_last else dls.train
    one = loader(12)
    one.rng.seed(3)
    parts = [rank_dl(loader(4), Ranks(r, 3), 12) for r in range(3)]
    for o in parts: o.rng.seed(3)
    for _ in range(2):
        n = len(list(one))
        batches = [list(o) for o in parts]
        assert len({len(o) for o in batches})==1 and len(batches[0])==n==len(parts[0])
        assert all(len({len(b[0]) for b in o})==1 for o in zip(*batches)) # as many rows in each step
        for o in parts: assert o.rows_of_pass==one.rows_of_pass[:n*12]
    if not lazy: assert load_spread(token_loads(parts[0]))<0.15

def test_without_context_under_a_launcher(monkeypatch):
    "What a launcher sets makes fastai ask other processes, which nobody has met outside of the context"
    plain,learn = rank_job.learner(1),rank_job.learner(1)
    with plain.no_logging(): plain.fit(1, 0.1)
    for k,v in dict(WORLD_SIZE='2', RANK='0').items(): monkeypatch.setenv(k, v)
    rank_job.seed_everything(1, learn.dls)
    with learn.no_logging(): learn.fit(1, 0.1)
    assert [len(o) for o in (learn.validate(),learn.get_preds())]==[3,2]
    assert plain.recorder.losses==learn.recorder.losses
