// Tells a screen reader what stands below each field of the form, and whether its value is refused: ipywidgets set no
// aria attributes. JupyterLab runs this where the form is shown; `element` is this output's place in the page.
const mark = 'runbook-field-';
const tie = () => {
  for (const box of document.querySelectorAll(`[class*="${mark}"]`)) {
    const name = [...box.classList].find(item => item.startsWith(mark)).slice(mark.length);
    const note = document.getElementById(`${mark}note-${name}`);
    const field = box.querySelector('input, textarea, select');
    if (note && field) {
      field.setAttribute('aria-describedby', note.id);
      field.setAttribute('aria-invalid', String(note.getAttribute('role') === 'alert'));
    }
  }
};
new MutationObserver(tie).observe(element.closest('.jp-OutputArea') ?? document.body, { childList: true, subtree: true });
tie();
