// Runs the search in a frame where pages are opened from the disk: browsers start no worker from a file.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      this.ready = new Promise((resolve) => frame.addEventListener("load", resolve, { once: true }));
      this.frame = frame;
      const answer = `postMessage = (data) => frameElement.dispatchEvent(new MessageEvent("message", { data }));`;
      frame.srcdoc = `<script>${answer}</script><script src="${new URL(address, document.baseURI)}"></script>`;
      frame.addEventListener("message", (event) => {
        const said = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(said);
        this.onmessage?.(said);
      });
      document.body.append(frame);
    }

    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
