"Make nbs/images/show_results.png: train on the invented comments, show results, photograph the table with Chromium"
import shutil,subprocess,sys,tempfile
from pathlib import Path
from fastai.torch_core import set_seed
from toxicai.data import show
from toxicai.all import ToxicityDataLoaders,packaged_encoder,sample_csv,toxicity_learner

root = Path(__file__).resolve().parent.parent
page = ('<meta charset="utf-8"><style>body{margin:12px;background:#fff;width:1000px;font:14px/1.4 sans-serif}'
        'table{border-collapse:collapse}</style>')
labels = ['toxic','insult','profanity','threat']

def results(
    max_n:int=9, # Rows
) -> str: # HTML of the table
    "What `show_results` shows in a notebook after three epochs"
    set_seed(42, reproducible=True)
    dls = ToxicityDataLoaders.from_csv(sample_csv(), packaged_encoder(), text_col='comment', label_cols=labels)
    learn,shown = toxicity_learner(dls),[]
    learn.fine_tune(3)
    show.show_table = shown.append
    learn.show_results(max_n=max_n)
    return shown[0]._repr_html_()

def screenshot(
    html:str, # A page
    png:Path, # The picture to write
):
    "Render `html` in a headless Chromium"
    browser = shutil.which('chromium') or shutil.which('google-chrome') or sys.exit('needs Chromium')
    quiet = ['--headless','--no-sandbox','--disable-gpu','--hide-scrollbars']
    with tempfile.TemporaryDirectory() as d:
        (Path(d)/'page.html').write_text(html, encoding='utf-8')
        size = ['--force-device-scale-factor=1.5','--window-size=1030,2000']
        where = [f'--user-data-dir={d}/profile',f'--screenshot={png}',f'file://{d}/page.html']
        subprocess.run([browser, *quiet, *size, *where], check=True, capture_output=True)

def trim(
    png:Path, # A picture on white, rewritten
):
    "Keep the part of a picture that is not white, with a small margin, in 128 colours"
    from PIL import Image,ImageChops
    img = Image.open(png).convert('RGB')
    box = ImageChops.difference(img, Image.new('RGB', img.size, 'white')).getbbox()
    img.crop((0, 0, box[2]+18, box[3]+18)).quantize(128).save(png, optimize=True)

if __name__=='__main__':
    png = root/'nbs/images/show_results.png'
    png.parent.mkdir(exist_ok=True)
    screenshot(page+results(), png)
    trim(png)
