#include "data/gemmi/formats.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace ae::data::molecules {

InputError too_much_text(const std::string& name) {
  return InputError(name + ": more than 512 MiB of text; split the file");
}

std::string whole_text(ByteSource& source) {
  constexpr std::size_t kStep = 1 << 16;
  std::string text;
  for (;;) {
    const auto size = text.size();
    text.resize(size + std::max(kStep, size / 2));
    const auto count = read_fully(source, text.data() + size, text.size() - size);
    text.resize(size + count);
    if (count == 0) return text;
    if (text.size() > kMostTextBytes) throw too_much_text(source.name());
  }
}

InputError not_read(std::string what, const std::string& name, const Expectation& expectation) {
  std::string place = name;
  if (what.starts_with(name + ":")) {
    what.erase(0, name.size() + 1);
    const auto digits = what.find_first_not_of("0123456789");
    if (digits != 0 && digits < what.size() && what[digits] == ':') {
      place += ':' + what.substr(0, digits);
      what.erase(0, what.find(": ") == std::string::npos ? digits : what.find(": ") + 1);
    }
  }
  const bool loop = what.find("number of values in the loop") < what.size();
  return InputError(place + ": cannot be read as " + std::string(expectation.noun) + ": " +
                    ae::printable(trimmed(what.substr(0, what.find('\n')))) +
                    (loop ? " that begins here; expected one for each tag in every row; is the file cut?"
                          : "; expected " + std::string(expectation.expected)));
}

std::optional<double> cif_number(std::string_view text) { return parse_number(text.substr(0, text.find('('))); }

}  // namespace ae::data::molecules
