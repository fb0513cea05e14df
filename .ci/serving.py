"Two halves that must agree: `train FOLDER` where everything is installed, `judge FOLDER` where only serving is"
import json,sys
from importlib.util import find_spec
from pathlib import Path

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

if __name__=='__main__': dict(train=train, judge=judge)[sys.argv[1]](sys.argv[2])
