// Uploads decoders and recordings from the overview page straight to REST.

document.addEventListener("change", async ({ target }) => {
  const form = target.closest("form.upload");
  if (!form || !target.files.length) return;
  const said = form.querySelector("output");
  const body = new FormData();
  body.append("file", target.files[0]);
  said.className = "";
  said.textContent = `uploading ${target.files[0].name} ...`;
  try {
    const answer = await fetch(form.dataset.path, { method: "POST", body });
    const told = await answer.json();
    said.textContent = answer.ok ? `stored as ${told.id}` : told.detail;
    said.className = answer.ok ? "good" : "bad";
  } catch (error) {
    said.textContent = `not uploaded: ${error.message}`;
    said.className = "bad";
  }
  target.value = "";
});

document.addEventListener("submit", (event) => {
  if (event.target.matches("form.upload")) event.preventDefault();
});
