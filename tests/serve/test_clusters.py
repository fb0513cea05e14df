"The lines of docs/bulk.md as they stand there, each where its engine is installed; a Ray cluster that loses an actor"
import importlib.util,os,re,shutil,signal,subprocess,sys,time
from pathlib import Path

import numpy as np,pandas as pd,pytest
from toxicai.all import *
from toxicai.serve import bulk
from toxicai.serve.bulk import *
from toxicai.test_utils import comments,tiny_checkpoint

pytestmark = pytest.mark.slow
root = Path(__file__).resolve().parents[2]
blocks = dict(re.findall(r'^## (.*?)\n.*?```python\n(.*?)```', (root/'docs/bulk.md').read_text(encoding='utf-8'), flags=re.M|re.S))
needs = {'One machine':'pyarrow', 'A cluster: Ray':'ray', 'Spark':'pyspark', 'Daft':'daft', 'Hugging Face datasets':'datasets'}

@pytest.fixture(scope='module')
def home(tmp_path_factory):
    "A folder with what the page speaks of"
    home = tmp_path_factory.mktemp('home')
    learn = toxicity_learner(ToxicityDataLoaders.from_df(comments(), tiny_checkpoint(), text_col='text', label_cols=['toxic','insult'], bs=8))
    with learn.no_bar(),learn.no_logging(): learn.fit(1, 1e-2)
    learn.save_detector(home/'model', onnx=True)
    comments(200)[['text']].assign(id=range(200)).to_parquet(home/'comments.parquet', index=False)
    return home

def lacks(name):
    if importlib.util.find_spec(needs[name]) is None: return f"{needs[name]} is not installed"
    return 'Spark needs Java, which is not here' if name=='Spark' and shutil.which('java') is None else ''

def run(code, home):
    "`code` in a process of its own"
    for o in ('scored','scored.parquet'):
        shutil.rmtree(home/o, ignore_errors=True)
        (home/o).unlink(missing_ok=True)
    (home/'page.py').write_text(code)
    env = {**os.environ, 'PYTHONPATH':str(root), 'PYSPARK_PYTHON':sys.executable, 'SPARK_LOCAL_IP':'127.0.0.1'}
    res = subprocess.run([sys.executable, 'page.py'], cwd=home, env=env, capture_output=True, text=True, timeout=300)
    assert res.returncode==0, res.stdout[-2000:]+res.stderr[-4000:]

def test_page(): assert list(blocks)==list(needs)

@pytest.mark.parametrize('name', needs)
def test_lines(name, home):
    "The scores of the detector, for every row"
    if why := lacks(name): pytest.skip(why)
    run(blocks[name], home)
    df = pd.read_parquet(home/'scored' if (home/'scored').is_dir() else home/'scored.parquet').sort_values('id')
    want = Detector(home/'model', threads=1)(comments(200).text)['toxic']
    assert np.abs(df['toxic' if 'toxic' in df else 'toxic_score'].to_numpy()-want).max()<1e-5 and df.id.tolist()==list(range(200))

# Ray

@pytest.fixture(scope='module')
def cluster():
    "Two workers on this machine"
    ray = pytest.importorskip('ray', reason='ray is not installed')
    ray.init(num_cpus=3, include_dashboard=False, runtime_env=dict(env_vars={'PYTHONPATH':str(root), 'OMP_NUM_THREADS':'1'}), log_to_driver=False)
    yield ray
    ray.shutdown()

def test_actor_is_lost(cluster, home, tmp_path, monkeypatch):
    "One of two actors is killed: nothing lost, nothing twice, the bytes of one process"
    src,notes = tmp_path/'a.jsonl',tmp_path/'notes'
    notes.mkdir()
    comments(2000)[['text']].assign(id=range(2000)).to_json(src, orient='records', lines=True)
    score_files(src, tmp_path/'one.jsonl', home/'model', chunk=20, threads=1)
    class Noted(RayJudge): # within the test, so that it travels by value
        def __call__(self, batch, notes=str(notes)):
            (Path(notes)/f'{os.getpid()}').touch()
            time.sleep(.05)
            return RayJudge.__call__(self, batch)
    monkeypatch.setattr(bulk, 'RayJudge', Noted)
    killed = []
    def _kill(p):
        if p.rows>=400 and not killed:
            killed.append(int(sorted(notes.iterdir())[0].name))
            os.kill(killed[0], signal.SIGKILL)
    done = score_files(src, tmp_path/'ray.jsonl', home/'model', chunk=20, threads=1, engine='ray', workers=2, progress=_kill)
    assert killed and done.rows==2000 and len(list(notes.iterdir()))==3
    assert (tmp_path/'ray.jsonl').read_bytes()==(tmp_path/'one.jsonl').read_bytes()

def test_ray_goes_on(cluster, home, tmp_path):
    "A job that was stopped is judged on the cluster from its first missing block on; gaps do not disturb the count"
    src = tmp_path/'a.csv'
    texts = [*comments(60).text]+['']*30+[*comments(60).text]
    pd.DataFrame(dict(text=texts)).to_csv(src, index=False)
    score_files(src, tmp_path/'one.csv', home/'model', chunk=10, threads=1)
    def _stop(p):
        if p.rows>=40: raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt): score_files(src, tmp_path/'b.csv', home/'model', chunk=10, threads=1, progress=_stop)
    done = score_files(src, tmp_path/'b.csv', home/'model', chunk=10, threads=1, engine='ray', workers=2)
    assert done.earlier==40 and (tmp_path/'b.csv').read_bytes()==(tmp_path/'one.csv').read_bytes()
