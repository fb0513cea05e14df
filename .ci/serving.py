"""Two halves that must agree: `train FOLDER` where everything is installed, `judge FOLDER` where only serving is.
`packaged` judges with each detector that came in a wheel, `wheels DIST` looks into the wheels"""
import json,sys
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

texts = ['Thank you, that helped a lot!', 'You are an idiot.', '', 'Y0u 1d10t!!! '*50]

def train(folder):
    import pandas as pd
    from toxicai.all import ToxicityDataLoaders,packaged_encoder,sample_csv,toxicity_learner
    dls = ToxicityDataLoaders.from_df(pd.read_csv(sample_csv()), packaged_encoder(), text_col='comment', label_cols=['toxic','insult'], max_length=64)
    learn = toxicity_learner(dls, seed=42)
    with learn.no_bar(): learn.fit_one_cycle(1, 4e-4)
    learn.save_detector(folder, onnx=True)
    with learn.no_bar(): probs = learn.get_preds(dl=learn.dls.test_dl(texts))[0]
    Path(f'{folder}.json').write_text(json.dumps(probs.tolist()))

def judge(folder):
    import numpy as np
    from toxicai import Detector
    there = [o for o in ('fastai','torch','transformers','pandas','sklearn','scipy') if find_spec(o)]
    if there: sys.exit(f'{there} came along, though only training needs them')
    d = Detector(folder)
    res,apart = d(texts),np.abs(d.scores(texts)-json.loads(Path(f'{folder}.json').read_text())).max()
    print(d, d.why, res, f'largest difference from the learner {apart:.1g}', sep='\n')
    if not apart<1e-5 or res.flags[:2,0].tolist()!=[False,True]: sys.exit('that is not what the learner says')

def packaged():
    import toxicai
    from toxicai import Detector
    from toxicai.serve.folder import check_files
    from toxicai.serve.packaged import check_scores,packaged_detectors
    if 'site-packages' not in toxicai.__file__: sys.exit(f'{toxicai.__file__} is not from a wheel')
    found = packaged_detectors()
    if not found: print('no detector is packaged yet: `Detector()` must say so'); return no_detector()
    for name in found:
        d = Detector(None if name=='english' else name)
        check_files(d.folder)
        print(d, d.why, d.about(), d(texts, 'all'), check_scores(name), sep='\n')
        if d.flagged(texts[0]) or not d.flagged(texts[1]): sys.exit('that is not what a detector says')

def service(url):
    "What a service at `url` says, once it is there"
    import time
    from toxicai import Client
    for _ in range(60):
        try: res = Client(url)(texts); break
        except Exception as e: print(f'{type(e).__name__}: {e}'.splitlines()[0]); time.sleep(1)
    print(res)
    if res.flags[:2,0].tolist()!=[False,True]: sys.exit('that is not what a detector says')

def no_detector():
    from toxicai import Detector
    try: Detector()
    except FileNotFoundError as e: print(e)
    else: sys.exit('it found one')

def wheels(dist):
    "Print what each wheel holds, and stop where two have a file of the same place"
    owner = {}
    for path in sorted(Path(dist).glob('*.whl')):
        names = [o for o in ZipFile(path).namelist() if not o.split('/')[0].endswith('.dist-info')]
        twice = [o for o in names if owner.setdefault(o.split('/')[0], path.name)!=path.name]
        print(f"{path.name}: {len(names)} files in {sorted({o.split('/')[0] for o in names})}, {path.stat().st_size/1e6:.1f} MB")
        if twice: sys.exit(f"{twice[:3]} are in {path.name} and in {owner[twice[0].split('/')[0]]}")

if __name__=='__main__': dict(train=train, judge=judge, packaged=packaged, wheels=wheels, service=service)[sys.argv[1]](*sys.argv[2:])
