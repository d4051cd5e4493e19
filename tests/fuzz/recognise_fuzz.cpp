// Files of other kinds told by any first bytes: text without control characters is never taken for a binary format, and
// how the reads are cut does not change what is looked at.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "../unit/support/byte_sources.hpp"
#include "data/bytes/recognise.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

bool is_plain_text(const std::string& head) {
  return std::ranges::all_of(head, [](char c) { return (c >= ' ' && c < '\x7f') || (c >= '\t' && c <= '\r'); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const std::size_t read_size = 1 + size % 97;
  ae::test::MemorySource source(bytes, [read_size] { return read_size; });
  const std::string head = ae::data::read_head(source);
  require(bytes.starts_with(head) && (head.size() == bytes.size() || head.size() == 4096));
  const auto* type = ae::data::recognise(head);
  require(type == ae::data::recognise(bytes));
  if (!type) return 0;
  const auto line = ae::data::wrong_kind("file", *type, "", "another").lines().front();
  require(line.starts_with("file: found ") && line.find('\n') == std::string::npos);
  const auto is_a = [&](std::string_view what) { return type->what.find(what) != std::string_view::npos; };
  const bool text = type->kind == "table" || is_a("structure file") || is_a("JSON") || is_a("HTML") || is_a("XML") ||
                    is_a("Matrix Market");
  require(text || !is_plain_text(head));
  return 0;
}
