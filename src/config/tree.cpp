#include "config/tree.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <unordered_set>

#include "base/text.hpp"

namespace ae::config {

namespace {

using Json = nlohmann::json;
using Kind = Node::Kind;

constexpr std::size_t max_depth = 64;
constexpr std::size_t max_values = 1'000'000;
constexpr std::size_t line_width = 100;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_word(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '+' ||
         c == '-';
}

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string_view word_at(std::string_view text, std::size_t start) {
  std::size_t end = start;
  while (end < text.size() && is_word(text[end])) ++end;
  return text.substr(start, std::max<std::size_t>(end - start, start < text.size() ? 1 : 0));
}

SyntaxError error_at(std::string_view text, std::size_t offset, std::string message) {
  SyntaxError error{1, 1, std::move(message), false};
  for (const char c : text.substr(0, std::min(offset, text.size()))) {
    if (c == '\n') {
      ++error.line;
      error.column = 1;
    } else if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) {
      ++error.column;  // characters, not bytes
    }
  }
  return error;
}

// The parser shows control bytes of its last token as "<U+000A>".
std::size_t token_length(std::string_view shown) {
  std::size_t length = 0;
  for (std::size_t i = 0; i < shown.size(); ++length) i += shown.substr(i, 5) == "<U+00" ? 8 : 1;
  return length;
}

std::string hint_for(std::string_view text, std::size_t start) {
  const std::string_view word = word_at(text, start);
  const std::string lower = lower_case(word);
  const auto begins = [&](std::string_view prefix) { return lower.starts_with(prefix); };
  if (begins("nan") || begins("inf") || begins("-inf") || begins("+inf") || begins("-nan"))
    return "; JSON has no NaN and no Infinity";
  if (lower == "none" || (lower != word && (lower == "true" || lower == "false" || lower == "null")))
    return "; JSON writes true, false and null";
  if (word == "'") return "; JSON uses double quotes";
  if (word == "/" || word == "#") return "; JSON has no comments";
  if (start > 0 && start < text.size() && is_digit(text[start]) && text[start - 1] == '0')
    return "; a number has no leading zeros";
  std::size_t before = std::min(start, text.size());
  while (before > 0 && is_blank(text[before - 1])) --before;
  if ((word == "}" || word == "]") && before > 0 && text[before - 1] == ',') return "; remove the comma before it";
  return "";
}

std::string expected_by(std::string_view complaint) {
  const auto says = [&](std::string_view part) { return complaint.find(part) != std::string_view::npos; };
  if (says("while parsing object key")) return "a key in double quotes";
  if (says("while parsing object separator")) return "\":\" after the key";
  if (says("while parsing object ")) return "\",\" or \"}\"";
  if (says("while parsing array ")) return "\",\" or \"]\"";
  if (says("; expected end of input")) return "the end of the file";
  return "a value";
}

// Where the token begins that the parser had read up to `position` when it complained. Its `last_token` begins there
// only for texts and numbers.
std::size_t token_start(std::string_view text, std::size_t position, std::string_view last_token,
                        std::string_view complaint) {
  const auto says = [&](std::string_view part) { return complaint.find(part) != std::string_view::npos; };
  const auto back = [&](std::size_t length) { return position - std::min(position, length); };
  if (says("unexpected end of input")) return text.size();
  if (says("unexpected string literal") || says("unexpected number literal") || says("invalid number") ||
      says("number overflow"))
    return std::min(back(token_length(last_token)), text.size());
  if (says("unexpected false literal")) return back(5);
  if (says("unexpected true literal") || says("unexpected null literal")) return back(4);
  if (!says("invalid literal") || position == 0) return back(1);
  // A misspelt true, false or null is noticed at its first wrong character, which may already be the next token's.
  std::size_t start = position - 1;
  for (const std::string_view literal : {"true", "false", "null"})
    for (std::size_t matched = literal.size() - 1; matched > 0; --matched)
      if (start >= matched && text.substr(start - matched, matched) == literal.substr(0, matched) &&
          (start == matched || !is_word(text[start - matched - 1])))
        return start - matched;
  return std::min(start, text.size());
}

// nlohmann's complaint in plain words.
SyntaxError plain_error(std::string_view text, std::size_t position, std::string_view last_token, int id,
                        std::string_view complaint) {
  const std::size_t start = token_start(text, position, last_token, complaint);
  if (id == 406) {
    SyntaxError error = error_at(text, start,
                                 "found " + std::string(word_at(text, start).substr(0, 40)) +
                                     ", expected a number between -1.797e308 and 1.797e308");
    error.is_json = true;
    return error;
  }
  if (const auto broken = complaint.find("invalid string: "); broken != std::string_view::npos) {
    std::string_view detail = complaint.substr(broken + 16);
    detail = detail.substr(0, detail.find("; last read"));
    return error_at(text, position == 0 ? 0 : position - 1,
                    "found a broken string (" + std::string(detail) + "), expected text in double quotes on one line");
  }
  if (start >= text.size())
    return error_at(text, text.size(), "found the end of the file, expected " + expected_by(complaint));
  std::size_t length = word_at(text, start).size();
  if (text[start] == '"') length = token_length(last_token);
  return error_at(text, start,
                  "found " + ae::quoted(text.substr(start, length)) + ", expected " + expected_by(complaint) +
                      hint_for(text, start));
}

class TreeBuilder final : public nlohmann::json_sax<Json> {
 public:
  TreeBuilder(std::string_view text, int origin, Parsed& parsed) : text_(text), origin_(origin), parsed_(parsed) {}

  bool null() override { return put(Node{}); }
  bool boolean(bool value) override { return put(Node::of_boolean(value)); }
  bool number_integer(number_integer_t value) override {
    return put_number(static_cast<double>(value), std::to_string(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return put_number(static_cast<double>(value), std::to_string(value));
  }
  bool number_float(number_float_t value, const string_t& literal) override { return put_number(value, literal); }
  bool string(string_t& value) override { return put(Node::of_text(value)); }
  bool binary(binary_t&) override { return false; }  // no binary in JSON text

  bool start_object(std::size_t) override {
    keys_.emplace_back();
    return open(Node::object());
  }
  bool key(string_t& name) override {
    key_ = name;
    duplicate_ = !keys_.back().insert(name).second;
    if (duplicate_) parsed_.duplicates.push_back(pointer_to(pointer(), name));
    return true;
  }
  bool end_object() override {
    std::erase_if(open_.back()->items, [](const Node& item) { return item.duplicate; });
    keys_.pop_back();
    open_.pop_back();
    return true;
  }
  bool start_array(std::size_t) override { return open(Node::array()); }
  bool end_array() override {
    open_.pop_back();
    return true;
  }
  bool parse_error(std::size_t position, const std::string& last_token, const Json::exception& error) override {
    parsed_.error = plain_error(text_, position, last_token, error.id, error.what());
    return false;
  }

 private:
  bool put_number(double value, std::string literal) {
    Node node;
    node.kind = Kind::number;
    node.number = value;
    node.text = std::move(literal);
    return put(std::move(node));
  }

  bool put(Node node) { return place(std::move(node)) != nullptr; }

  bool open(Node node) {
    if (open_.size() == max_depth)
      return refuse("nested deeper than " + std::to_string(max_depth) + " levels, expected at most that");
    Node* placed = place(std::move(node));
    if (placed) open_.push_back(placed);
    return placed != nullptr;
  }

  // Pointers to the open containers stay valid: only the innermost one grows.
  Node* place(Node node) {
    if (++values_ > max_values) {
      refuse("found more than " + std::to_string(max_values) + " values, expected at most that");
      return nullptr;
    }
    node.origin = origin_;
    if (open_.empty()) {
      parsed_.root = std::move(node);
      return &parsed_.root;
    }
    if (open_.back()->kind == Kind::object) {
      node.key = std::move(key_);
      node.duplicate = duplicate_;
    }
    return &open_.back()->add(std::move(node));
  }

  bool refuse(std::string message) {
    parsed_.error = SyntaxError{0, 0, std::move(message), true};
    return false;
  }

  // Of the innermost open container.
  std::string pointer() const {
    std::string path;
    for (std::size_t i = 1; i < open_.size(); ++i) {
      const Node& parent = *open_[i - 1];
      path = pointer_to(path, parent.kind == Kind::array ? std::to_string(parent.items.size() - 1) : open_[i]->key);
    }
    return path;
  }

  std::string_view text_;
  int origin_;
  Parsed& parsed_;
  std::vector<Node*> open_;
  std::vector<std::unordered_set<std::string>> keys_;  // of the open objects
  std::string key_;
  bool duplicate_ = false;
  std::size_t values_ = 0;
};

void append_text(std::string& out, std::string_view text) {
  out += Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

void append_compact(std::string& out, const Node& node) {
  const auto append_items = [&](char open, char close) {
    out += open;
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      if (i > 0) out += ", ";
      if (node.kind == Kind::object) {
        append_text(out, node.items[i].key);
        out += ": ";
      }
      append_compact(out, node.items[i]);
    }
    out += close;
  };
  switch (node.kind) {
    case Kind::null:
      out += "null";
      break;
    case Kind::boolean:
      out += node.boolean ? "true" : "false";
      break;
    case Kind::number:
      out += node.text;
      break;
    case Kind::text:
      append_text(out, node.text);
      break;
    case Kind::array:
      append_items('[', ']');
      break;
    case Kind::object:
      append_items('{', '}');
      break;
  }
}

void append_pretty(std::string& out, const Node& node, std::size_t indent) {
  const bool flat = node.kind == Kind::array &&
                    std::all_of(node.items.begin(), node.items.end(), [](const Node& item) { return item.scalar(); });
  if (node.scalar() || flat || node.items.empty()) {
    const std::string line = compact_json(node);
    if (node.items.empty() || indent + line.size() <= line_width) {
      out += line;
      return;
    }
  }
  const bool object = node.kind == Kind::object;
  out += object ? '{' : '[';
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    out += i > 0 ? ",\n" : "\n";
    out.append(indent + 2, ' ');
    if (object) {
      append_text(out, node.items[i].key);
      out += ": ";
    }
    append_pretty(out, node.items[i], indent + 2);
  }
  out += '\n';
  out.append(indent, ' ');
  out += object ? '}' : ']';
}

}  // namespace

Node Node::of_boolean(bool value) {
  Node node;
  node.kind = Kind::boolean;
  node.boolean = value;
  return node;
}

Node Node::of_integer(std::int64_t value) {
  Node node;
  node.kind = Kind::number;
  node.number = static_cast<double>(value);
  node.text = std::to_string(value);
  return node;
}

Node Node::of_number(double value) {
  if (!std::isfinite(value)) throw std::logic_error("a configured number is not finite and JSON cannot hold it");
  Node node;
  node.kind = Kind::number;
  node.number = value;
  // "-0" would read back as the integer 0, which has no sign.
  node.text = value == 0 && std::signbit(value) ? "-0.0" : number_text(value);
  return node;
}

Node Node::of_text(std::string_view value) {
  Node node;
  node.kind = Kind::text;
  node.text = value;
  return node;
}

Node Node::array() {
  Node node;
  node.kind = Kind::array;
  return node;
}

Node Node::object() {
  Node node;
  node.kind = Kind::object;
  return node;
}

Node& Node::add(Node item) { return items.emplace_back(std::move(item)); }

Node& Node::set(std::string_view name, Node value) {
  value.key = name;
  return items.emplace_back(std::move(value));
}

const Node* Node::find(std::string_view name) const {
  if (kind != Kind::object) return nullptr;
  const auto found = std::find_if(items.begin(), items.end(), [&](const Node& item) { return item.key == name; });
  return found == items.end() ? nullptr : &*found;
}

Node* Node::find(std::string_view name) { return const_cast<Node*>(std::as_const(*this).find(name)); }

std::optional<std::int64_t> exact_integer(std::string_view literal) {
  const bool negative = literal.starts_with('-');
  if (negative) literal.remove_prefix(1);
  std::int64_t exponent = 0;
  if (const auto e = literal.find_first_of("eE"); e != std::string_view::npos) {
    std::string_view power = literal.substr(e + 1);
    if (power.starts_with('+')) power.remove_prefix(1);
    const auto result = std::from_chars(power.data(), power.data() + power.size(), exponent);
    const bool huge = result.ec == std::errc::result_out_of_range || std::abs(exponent) > 100'000'000;
    if (huge) exponent = power.starts_with('-') ? -100'000'000 : 100'000'000;
    literal = literal.substr(0, e);
  }
  std::string digits(literal);
  if (const auto point = digits.find('.'); point != std::string::npos) {
    exponent -= static_cast<std::int64_t>(digits.size() - point - 1);
    digits.erase(point, 1);
  }
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
  if (digits.empty()) return 0;
  while (digits.back() == '0') {
    digits.pop_back();
    ++exponent;
  }
  if (exponent < 0 || exponent > 19) return std::nullopt;
  digits.append(static_cast<std::size_t>(exponent), '0');
  if (negative) digits.insert(digits.begin(), '-');
  std::int64_t value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (result.ec != std::errc{}) return std::nullopt;
  return value;
}

Parsed parse_json(std::string_view text, int origin) {
  Parsed parsed;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (std::all_of(text.begin(), text.end(), is_blank)) {
    parsed.error = SyntaxError{0, 0, "found an empty file, expected a JSON object; the smallest one is {}", false};
    return parsed;
  }
  // The parser would take a NUL byte for the end and ignore what follows.
  if (const auto nul = text.find('\0'); nul != std::string_view::npos) {
    parsed.error = error_at(text, nul, "found a NUL byte, expected JSON text in UTF-8");
    return parsed;
  }
  TreeBuilder builder(text, origin, parsed);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return parsed;
}

std::string print_json(const Node& node) {
  std::string out;
  append_pretty(out, node, 0);
  out += '\n';
  return out;
}

std::string compact_json(const Node& node) {
  std::string out;
  append_compact(out, node);
  return out;
}

std::string pointer_to(std::string_view parent, std::string_view key) {
  std::string pointer(parent);
  pointer += '/';
  for (const char c : key) {
    if (c == '~')
      pointer += "~0";
    else if (c == '/')
      pointer += "~1";
    else
      pointer += c;
  }
  return pointer;
}

std::optional<std::vector<std::string>> pointer_tokens(std::string_view pointer) {
  std::vector<std::string> tokens;
  if (!pointer.empty() && pointer.front() != '/') return std::nullopt;
  for (std::size_t i = 0; i < pointer.size(); ++i) {
    const char c = pointer[i];
    if (c == '/') {
      tokens.emplace_back();
    } else if (c == '~') {
      if (i + 1 == pointer.size() || (pointer[i + 1] != '0' && pointer[i + 1] != '1')) return std::nullopt;
      tokens.back() += pointer[++i] == '0' ? '~' : '/';
    } else {
      tokens.back() += c;
    }
  }
  return tokens;
}

std::optional<std::size_t> index_of(std::string_view token) {
  if (token.empty() || (token.size() > 1 && token.front() == '0')) return std::nullopt;
  std::size_t index = 0;
  const auto result = std::from_chars(token.data(), token.data() + token.size(), index);
  if (result.ec != std::errc{} || result.ptr != token.data() + token.size()) return std::nullopt;
  return index;
}

const Node* child(const Node& node, std::string_view token) {
  if (node.kind != Node::Kind::array) return node.find(token);
  const auto index = index_of(token);
  return index && *index < node.items.size() ? &node.items[*index] : nullptr;
}

}  // namespace ae::config
