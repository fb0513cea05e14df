"What a person sees in a notebook (crosses all rooms): fresh kernels run cells, and nothing comes in red or twice"
import os,re,sys
from collections import Counter
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

root = Path(__file__).parents[1]

def outputs(cells, folder): # Of each cell: pairs of a kind ('stdout', 'stderr', 'error', 'data') and a text or a dict by MIME type
    env = {**os.environ, 'PYTHONPATH':os.pathsep.join([str(root), *sys.path]), 'OMP_NUM_THREADS':'1'}
    for o in ('WANDB_SILENT','PYTHONWARNINGS','MPLBACKEND'): env.pop(o, None) # a person has none of them
    km,kc = start_new_kernel(kernel_name='python3', cwd=str(folder), env=env)
    def _ran(cell):
        seen = []
        def _note(m): # What is shown; widgets' messages (`comm_close`) carry data too
            d = m['content']
            if m['msg_type']=='stream': seen.append((d['name'], d['text']))
            elif m['msg_type']=='error': seen.append(('error', f"{d['ename']}: {d['evalue']}"))
            elif m['msg_type'] in ('display_data','update_display_data','execute_result'): seen.append(('data', d['data']))
        kc.execute_interactive(cell, timeout=600, output_hook=_note)
        return seen
    try: return [_ran(o) for o in cells]
    finally:
        kc.stop_channels()
        km.shutdown_kernel(now=True)

def texts(seen, *kinds): return [v for cell in seen for k,v in cell if k in kinds]
def pictures(cell): return [v for k,v in cell if k=='data' and 'image/png' in v]

def assert_quiet(seen):
    "Nothing in red; and no line of print that comes again, empty ones and those of tables left out"
    assert texts(seen, 'stderr', 'error')==[]
    lines = Counter(o.strip() for t in texts(seen, 'stdout') for o in t.splitlines() if len(o.strip())>20)
    assert not [o for o,n in lines.items() if n>1 and re.search(r'head|warn|W&B|lack|class', o)]

start = """
from toxicai.all import *
from fastai.text.all import *
from toxicai.test_utils import tiny_checkpoint
import logging,warnings,transformers,datasets
warnings.filterwarnings('ignore', message='a filter of mine')
transformers.logging.set_verbosity_info(); transformers.logging.set_verbosity_warning()
logging.getLogger('toxicai').setLevel(5)
def mine():
    log = transformers.logging
    hook = log.set_tqdm_hook(None); log.set_tqdm_hook(hook)
    return (list(warnings.filters), log.get_verbosity(), log.is_progress_bar_enabled(), hook,
            datasets.are_progress_bars_disabled(), logging.root.level, logging.getLogger('toxicai').level,
            [len(logging.getLogger(o).filters) for o in ('transformers','transformers.modeling_utils')])
before = mine()
"""
learnt = """
df = pd.read_csv(sample_csv())[:160]
df['comment'] = df.comment.str[:40]
labels = ['toxic','insult']
dls = ToxicityDataLoaders.from_df(df, tiny_checkpoint('bert'), text_col='comment', label_cols=labels, bs=32)
learn = toxicity_learner(dls)
learn.fine_tune(1)
"""
looks = "learn.show_results(max_n=3); learn.get_preds(); learn.validate(); learn.classify(['you are an idiot'])"
swept = """
plan = dict(name='p', method='grid', metric=dict(name='valid/loss', goal='minimize'),
            parameters=dict(bs=dict(values=[16,32]), freeze_epochs=dict(value=0)))
tried = sweep(plan, df[:64], checkpoint=str(tiny_checkpoint('bert')), text_col='comment', label_cols=labels)
"""

@pytest.fixture(scope='module')
def seen(tmp_path_factory):
    saved = "learn.save_detector('d'); Detector('d', backend='torch')('you are an idiot')"
    cells = [start, learnt, looks, saved, swept, 'assert mine()==before, (mine(),before)', "learn.recorder.plot_loss(); plt.show()"]
    return outputs(cells, tmp_path_factory.mktemp('nb'))

def test_first_hour(seen): assert_quiet(seen)

def test_one_line_for_a_head(seen):
    assert re.findall(r"new head for .*", '\n'.join(texts(seen, 'stdout')))==["new head for ['toxic', 'insult']: it has to be trained"]

def test_sweep_is_a_table(seen):
    "A table that follows the runs, one line for the best, and one for W&B"
    tables = [v for k,v in seen[4] if k=='data']
    assert len(tables)>=3 and 'finished' in tables[-1]['text/plain'] and 'text/html' in tables[-1]
    lines = ''.join(v for k,v in seen[4] if k=='stdout').splitlines()
    assert [o.split(':')[0] for o in lines]==['best','W&B'] and 'offline-run-*' in lines[1]

def test_figure_shows(seen): assert len(pictures(seen[-1]))==1

def test_it_would_be_seen(tmp_path):
    "The tests above see what a library prints in red, and what it repeats"
    cells = ["import warnings; warnings.warn('the class threat')", "print('new head for a class, once'); print('new head for a class, once')"]
    red,twice = outputs(cells, tmp_path)
    with pytest.raises(AssertionError): assert_quiet([red])
    with pytest.raises(AssertionError): assert_quiet([twice])

def readme_cells(): # Its Python, with shorter fits
    "The README's code; runs are fewer, and seeds, which train six times, are left out"
    cells = re.findall(r'```python\n(.*?)```', (root/'README.md').read_text(encoding='utf-8'), re.S)
    for old,new in {'count=6':'count=2', 'sweep(plan, df,':'sweep(plan, df[:300],', 'tried.results(), tried.seeds()':'tried.results()',
                    'fine_tune(3, ':'fine_tune(1, '}.items():
        assert sum(o.count(old) for o in cells)==1, old
        cells = [o.replace(old, new) for o in cells]
    return ["folder = 'detector'", *cells]

@pytest.mark.slow
def test_readme(tmp_path):
    "All of the README in one notebook, as a newcomer runs it"
    pytest.importorskip('onnx')
    seen = outputs(readme_cells(), tmp_path)
    assert_quiet(seen)
    for cell,o in zip(readme_cells(), seen):
        if '.plot(' in cell: assert pictures(o), cell
