#include "report/page.hpp"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <vector>

#include "base/files.hpp"
#include "base/utf8.hpp"
#include "report/assets.hpp"

namespace ae::report {
namespace {

constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

// The characters of `text`; an invalid byte counts as one U+FFFD.
std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> result;
  while (!text.empty()) {
    const std::size_t length = first_character(text).length;
    result.push_back(length ? text.substr(0, length) : replacement_character);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return result;
}

bool allowed_in_xml(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return (first >= 0x20 && first != 0x7F) || first == '\t' || first == '\n';
  return character != "\xEF\xBF\xBE" && character != "\xEF\xBF\xBF";  // U+FFFE, U+FFFF
}

// Not a control character, a line break or one that changes the direction of writing, which would make a line show
// something else than it holds.
bool harmless_in_a_line(std::string_view character) {
  if (character.size() == 1) return character[0] >= 0x20 && character[0] != 0x7F;
  const bool c1_control = character >= "\xC2\x80" && character <= "\xC2\x9F";
  const bool mark = character == "\xD8\x9C" || character == "\xE2\x80\x8E" || character == "\xE2\x80\x8F";
  const bool separator_or_embedding = character >= "\xE2\x80\xA8" && character <= "\xE2\x80\xAE";
  const bool isolate = character >= "\xE2\x81\xA6" && character <= "\xE2\x81\xA9";
  return !c1_control && !mark && !separator_or_embedding && !isolate && allowed_in_xml(character);
}

std::string_view entity(std::string_view character) {
  switch (character[0]) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return character;
  }
}

std::string bytes_of_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoul(std::string(hex.substr(i, 2)), nullptr, 16));
  return bytes;
}

std::string content_security_policy(std::string_view style, std::string_view script) {
  const auto source = [](std::string_view text) { return "'sha256-" + base64(bytes_of_hex(sha256_of(text))) + "'"; };
  return "default-src 'none'; img-src data:; style-src " + source(style) + "; script-src " + source(script) +
         "; base-uri 'none'; form-action 'none'";
}

// A style sheet or script that ended its own element early would be a mistake of ours, not of a user.
void require_embeddable(std::string_view text) {
  for (const std::string_view end : {"</script", "</style", "<!--"}) {
    if (text.find(end) != std::string_view::npos) throw std::logic_error("page asset contains " + std::string(end));
  }
}

// Replaces each {{name}} of the template once; what is put in is not looked at again.
std::string filled(std::string_view shell, std::initializer_list<std::pair<std::string_view, std::string_view>> parts) {
  std::string page;
  for (;;) {
    const std::size_t open = shell.find("{{");
    page += shell.substr(0, open);
    if (open == std::string_view::npos) return page;
    const std::size_t close = shell.find("}}", open);
    const std::string_view name = shell.substr(open + 2, close - open - 2);
    const auto part = std::find_if(parts.begin(), parts.end(), [&](const auto& p) { return p.first == name; });
    if (part == parts.end()) throw std::logic_error("page template names an unknown part " + std::string(name));
    page += part->second;
    shell.remove_prefix(close + 2);
  }
}

}  // namespace

std::string markup_escaped(std::string_view text) {
  std::string result;
  for (const std::string_view character : characters(text)) {
    result += allowed_in_xml(character) ? entity(character) : replacement_character;
  }
  return result;
}

std::string shortened(std::string_view text, std::size_t limit) {
  auto all = characters(text);
  for (auto& character : all) {
    if (!harmless_in_a_line(character)) character = replacement_character;
  }
  const std::size_t kept = all.size() <= limit ? all.size() : std::max<std::size_t>(limit, 1) - 1;
  const std::size_t head = all.size() <= limit ? kept : kept / 2;
  std::string result;
  for (std::size_t i = 0; i < head; ++i) result += all[i];
  if (all.size() > limit) result += "\xE2\x80\xA6";  // an ellipsis
  for (std::size_t i = all.size() - (kept - head); i < all.size(); ++i) result += all[i];
  return result;
}

std::string script_safe_json(const nlohmann::json& value) {
  const std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  std::string result;
  result.reserve(text.size());
  for (const char c : text) {  // these three occur only inside JSON strings
    switch (c) {
      case '<':
        result += "\\u003c";
        break;
      case '>':
        result += "\\u003e";
        break;
      case '&':
        result += "\\u0026";
        break;
      default:
        result += c;
    }
  }
  return result;
}

namespace {

constexpr std::string_view records_mark = "{{records}}";

std::string filled_part(const Page& page, std::string_view shell, std::string_view data) {
  const std::string style = std::string(assets::page_css) + std::string(page.style);
  const std::string script = std::string(assets::page_js) + std::string(page.script);
  require_embeddable(style);
  require_embeddable(script);
  return filled(shell, {{"policy", content_security_policy(style, script)},
                        {"title", markup_escaped(page.title)},
                        {"description", markup_escaped(page.description)},
                        {"style", style},
                        {"body", page.body},
                        {"data", data},
                        {"script", script}});
}

}  // namespace

std::string page_beginning(const Page& page) {
  return filled_part(page, assets::page_html.substr(0, assets::page_html.find(records_mark)), "");
}

std::string page_ending(const Page& page) {
  const auto begin = assets::page_html.find(records_mark) + records_mark.size();
  return filled_part(page, assets::page_html.substr(begin), script_safe_json(page.data));
}

std::string html_page(const Page& page) { return page_beginning(page) + page_ending(page); }

std::string base64(std::string_view bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t k) {
      return i + k < bytes.size() ? static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i + k])) : 0u;
    };
    const std::uint32_t bits = byte(0) << 16 | byte(1) << 8 | byte(2);
    for (std::size_t digit = 0; digit < 4; ++digit)
      text += i + digit <= bytes.size() ? digits[bits >> (18 - 6 * digit) & 63] : '=';
  }
  return text;
}

}  // namespace ae::report
