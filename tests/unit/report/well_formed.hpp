// A small check that a text is a well-formed XML document of the kind our plots are: elements balanced, attributes
// quoted and named once, only the five predefined and numeric character references, no control characters.
#pragma once

#include <cctype>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace ae::test {

class XmlCheck {
 public:
  // "" or what is wrong.
  static std::string problem(std::string_view text) { return XmlCheck(text).run(); }

 private:
  explicit XmlCheck(std::string_view text) : rest_(text) {}

  std::string run() {
    for (const char c : rest_) {
      if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') return "control character";
    }
    if (take("<?xml ")) rest_.remove_prefix(rest_.find("?>") + 2);
    int roots = 0;
    while (!rest_.empty()) {
      if (rest_[0] != '<') {
        const std::string_view content = rest_.substr(0, rest_.find('<'));
        if (open_.empty() && content.find_first_not_of(" \n\t") != std::string_view::npos) return "text outside";
        if (!references_are_fine(content)) return "bad reference in " + std::string(content);
        if (content.find("]]>") != std::string_view::npos) return "]]> in text";
        rest_.remove_prefix(content.size());
      } else if (take("</")) {
        const std::string name = take_name();
        if (open_.empty() || open_.back() != name) return "</" + name + "> closes nothing";
        open_.pop_back();
        if (!take(">")) return "end tag does not end";
      } else {
        rest_.remove_prefix(1);
        if (open_.empty() && ++roots > 1) return "two roots";
        if (const std::string wrong = tag(); !wrong.empty()) return wrong;
      }
    }
    if (roots != 1) return "no root";
    return open_.empty() ? "" : "<" + open_.back() + "> is not closed";
  }

  std::string tag() {
    const std::string name = take_name();
    if (name.empty()) return "nameless tag";
    std::set<std::string> seen;
    for (;;) {
      while (!rest_.empty() && std::isspace(static_cast<unsigned char>(rest_[0]))) rest_.remove_prefix(1);
      if (take("/>")) return "";
      if (take(">")) {
        open_.push_back(name);
        return "";
      }
      const std::string attribute = take_name();
      if (attribute.empty() || !take("=\"")) return "bad attribute in <" + name + ">";
      if (!seen.insert(attribute).second) return "attribute twice in <" + name + ">";
      const std::string_view value = rest_.substr(0, rest_.find('"'));
      if (value.find('<') != std::string_view::npos || !references_are_fine(value)) return "bad value";
      rest_.remove_prefix(value.size());
      if (!take("\"")) return "value does not end";
    }
  }

  bool take(std::string_view start) {
    if (!rest_.starts_with(start)) return false;
    rest_.remove_prefix(start.size());
    return true;
  }
  std::string take_name() {
    std::size_t n = 0;
    while (n < rest_.size() && (std::isalnum(static_cast<unsigned char>(rest_[n])) || rest_[n] == '-' ||
                                rest_[n] == ':' || rest_[n] == '_')) {
      ++n;
    }
    const std::string name(rest_.substr(0, n));
    rest_.remove_prefix(n);
    return name;
  }
  static bool references_are_fine(std::string_view text) {
    for (std::size_t at = text.find('&'); at != std::string_view::npos; at = text.find('&', at + 1)) {
      const std::string_view reference = text.substr(at, text.find(';', at) - at + 1);
      static const std::set<std::string_view> known = {"&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#39;"};
      if (!known.contains(reference)) return false;
    }
    return true;
  }

  std::string_view rest_;
  std::vector<std::string> open_;
};

}  // namespace ae::test
