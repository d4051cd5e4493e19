// Text on its way out, compressed by gzip where that is wanted, and numbers in it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace ae::data {

class TextOutput {
 public:
  using Sink = std::function<void(std::string_view bytes)>;
  // `gzip`: as one member, without a name or time, so that the same text gives the same bytes.
  TextOutput(Sink sink, bool gzip);
  ~TextOutput();
  void write(std::string_view text);  // gathered: the sink gets large pieces
  void finish();                      // once, last

 private:
  struct Deflater;
  void hand_on(bool last);
  Sink sink_;
  std::unique_ptr<Deflater> deflater_;  // null: as it is
  std::string text_;                    // not handed on yet
};

// The shortest text that reads back to the same float32.
void append_float(std::string& text, float value);

}  // namespace ae::data
