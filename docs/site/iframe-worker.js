// A page that was opened as a file may not start a Worker. A hidden frame then runs the worker's script instead, so
// that the search works from the file system too.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.waiting = []
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.title = "search"
      document.body.appendChild(frame)
      const inside = frame.contentWindow
      inside.postMessage = (data) => {
        const message = new MessageEvent("message", { data })
        this.dispatchEvent(message)
        if (this.onmessage) this.onmessage(message)
      }
      const script = frame.contentDocument.createElement("script")
      script.src = url
      script.onload = () => {
        this.inside = inside
        this.waiting.forEach((data) => this.postMessage(data))
      }
      frame.contentDocument.body.appendChild(script)
    }

    postMessage(data) {
      if (this.inside) this.inside.dispatchEvent(new MessageEvent("message", { data }))
      else this.waiting.push(data)
    }

    terminate() {
      this.inside = undefined
      this.waiting = []
    }
  }
}
