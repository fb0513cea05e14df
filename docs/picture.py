"Make nbs/images/show_results.png: train on the invented comments, show results, photograph the table with Chromium"
import shutil,subprocess,sys,tempfile
from pathlib import Path
from fastai.torch_core import set_seed
from toxicai.data import show
from toxicai.all import ToxicityDataLoaders,packaged_encoder,sample_csv,toxicity_learner

root = Path(__file__).resolve().parent.parent
page = '<meta charset="utf-8"><style>body{margin:12px;background:#fff;width:1000px;font:14px/1.4 sans-serif}table{border-collapse:collapse}</style>'

def results(
    max_n:int=9, # Rows
) -> str: # HTML of the table
    "What `show_results` shows in a notebook after three epochs"
    set_seed(42, reproducible=True)
    dls = ToxicityDataLoaders.from_csv(sample_csv(), packaged_encoder(), text_col='comment', label_cols=['toxic','insult','profanity','threat'])
    learn,shown = toxicity_learner(dls),[]
    learn.fine_tune(3)
    show.show_table = shown.append
    learn.show_results(max_n=max_n)
    return shown[0]._repr_html_()

def photograph(
    html:str, # A table
    png:Path, # The picture to write
):
    "Render `html` in a headless Chromium and keep the part that is not white"
    from PIL import Image,ImageChops
    browser = shutil.which('chromium') or shutil.which('google-chrome') or sys.exit('needs Chromium')
    with tempfile.TemporaryDirectory() as d:
        (Path(d)/'page.html').write_text(page+html, encoding='utf-8')
        subprocess.run([browser, '--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--force-device-scale-factor=1.5', f'--user-data-dir={d}/profile',
                        '--window-size=1030,2000', f'--screenshot={d}/page.png', f'file://{d}/page.html'], check=True, capture_output=True)
        img = Image.open(f'{d}/page.png').convert('RGB')
    box = ImageChops.difference(img, Image.new('RGB', img.size, 'white')).getbbox()
    png.parent.mkdir(exist_ok=True)
    img.crop((0, 0, box[2]+18, box[3]+18)).quantize(128).save(png, optimize=True)

if __name__=='__main__': photograph(results(), root/'nbs/images/show_results.png')
