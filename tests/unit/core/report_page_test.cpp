#include "report/page.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/files.hpp"
#include "report/assets.hpp"
#include "report/every_byte.hpp"
#include "report/sample_scores.hpp"
#include "report/well_formed.hpp"

namespace ae::report::page_test {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::string_view replaced = "\xEF\xBF\xBD";

std::string page_with(std::string_view title, const nlohmann::json& data, std::string_view style = "",
                      std::string_view script = "") {
  return html_page({.title = std::string(title),
                    .description = "described",
                    .body = "<p>body</p>",
                    .style = style,
                    .script = script,
                    .data = data});
}

std::string element(const std::string& page, const std::string& open, const std::string& close) {
  const auto from = page.find(open) + open.size();
  return page.substr(from, page.find(close, from) - from);
}

std::string embedded_json(const std::string& page) {
  return element(page, "<script type=\"application/json\" id=\"data\">", "</script>");
}

std::size_t occurrences(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(ReportPage, FilesOfAnyContentAreEmbeddedByteForByte) {
  const std::filesystem::path folder = std::filesystem::path(AETOOLS_SOURCE_DIR);
  const auto file = [&](std::string_view name) { return read_file(folder / name, FileKind::data); };
  EXPECT_EQ(test::every_byte_bin, file("tests/unit/report/every_byte.bin"));
  EXPECT_EQ(assets::page_css, file("src/report/assets/page.css"));
  EXPECT_EQ(assets::roc_js, file("src/report/assets/roc.js"));
  EXPECT_EQ(assets::roc_html, file("src/report/assets/roc.html"));
}

TEST(ReportPage, MarkupCharactersBecomeEntities) {
  EXPECT_EQ(markup_escaped("a<b>&\"c'"), "a&lt;b&gt;&amp;&quot;c&#39;");
  EXPECT_EQ(markup_escaped("gr\xC3\xBC\xC3\x9F \xF0\x9F\x90\x99"), "gr\xC3\xBC\xC3\x9F \xF0\x9F\x90\x99");
}

TEST(ReportPage, WhatXmlCannotCarryIsReplaced) {
  const std::string one(replaced);
  for (const std::string_view bad : {"\x01", "\x7F", "\x1B", "\xFF", "\x80", "\xC3", "\xEF\xBF\xBF"}) {
    EXPECT_EQ(markup_escaped(bad), one) << testing::PrintToString(bad);
  }
  EXPECT_EQ(markup_escaped("\xC0\xAF"), one + one);                      // overlong "/"
  EXPECT_EQ(markup_escaped("\xED\xA0\x80"), one + one + one);            // a surrogate
  EXPECT_EQ(markup_escaped("\xF4\x90\x80\x80"), one + one + one + one);  // beyond U+10FFFF
  EXPECT_EQ(markup_escaped("\xE2\x82x"), one + one + "x");               // cut off
  EXPECT_EQ(markup_escaped(std::string_view("\0", 1)), one);
}

TEST(ReportPage, EmbeddedJsonReadsBackAndCannotEndItsElement) {
  const std::string hostile = hostile_name();
  const nlohmann::json data = {{"name", "</script><!--<script>&\xE2\x80\xA8\xE2\x80\xA9"}, {hostile, 0.1}};
  const std::string text = script_safe_json(data);
  for (const char c : text) EXPECT_TRUE(c >= 0x20 && c < 0x7F && c != '<' && c != '>' && c != '&') << int(c);
  EXPECT_EQ(nlohmann::json::parse(text)["name"], data["name"]);
}

TEST(ReportPage, NumbersInEmbeddedJsonAreExact) {
  const nlohmann::json data = {0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, 9007199254740991LL};
  EXPECT_EQ(nlohmann::json::parse(script_safe_json(data)), data);
}

TEST(ReportPage, LongTextLosesItsMiddle) {
  EXPECT_EQ(shortened("abcdefghij", 10), "abcdefghij");
  EXPECT_EQ(shortened("abcdefghijk", 5), "ab\xE2\x80\xA6jk");
  EXPECT_EQ(shortened("\xC3\xA4\xC3\xB6\xC3\xBC\xC3\x9F", 3), "\xC3\xA4\xE2\x80\xA6\xC3\x9F");
  EXPECT_EQ(shortened("abc", 1), "\xE2\x80\xA6");
  EXPECT_EQ(shortened("", 5), "");
}

TEST(ReportPage, ShownTextCannotReorderOrBreakItsLine) {
  const std::string one(replaced);
  for (const std::string_view bad :
       {"\xE2\x80\xAE", "\xE2\x81\xA6", "\xE2\x80\xA8", "\n", "\t", "\xC2\x85", "\xD8\x9C"}) {
    EXPECT_EQ(shortened(bad, 9), one) << testing::PrintToString(bad);
  }
  EXPECT_EQ(shortened("\xE2\x80\x93\xE2\x82\xAC\xC2\xA0", 9), "\xE2\x80\x93\xE2\x82\xAC\xC2\xA0");
}

// What the policy calls a text that it allows; sha256_of() and base64() are compared with known values elsewhere.
std::string policy_source(const std::string& text) {
  const std::string hex = sha256_of(text);
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return "'sha256-" + base64(bytes) + "'";
}

TEST(ReportPage, PolicyAllowsExactlyTheWrittenStyleAndScript) {
  const std::string page = page_with("t", nullptr, "p { color: red }", "show();");
  const std::string style = element(page, "<style>", "</style>");
  const std::string script = element(page, "<script>", "</script>");
  EXPECT_THAT(style, EndsWith("p { color: red }"));
  EXPECT_THAT(script, AllOf(StartsWith(assets::page_js), EndsWith("show();")));
  EXPECT_THAT(page, HasSubstr("default-src 'none'; img-src data:; style-src " + policy_source(style) + "; script-src " +
                              policy_source(script) + "; base-uri"));
  EXPECT_THAT(page, Not(HasSubstr("unsafe")));
}

TEST(ReportPage, TemplateNamesInContentStayText) {
  const std::string page = page_with("{{data}} {{script}}", {{"x", "{{body}}"}});
  EXPECT_THAT(page, HasSubstr("<title>{{data}} {{script}}</title>"));
  EXPECT_EQ(nlohmann::json::parse(embedded_json(page))["x"], "{{body}}");
}

TEST(ReportPage, HostileTitleAddsNoElement) {
  const std::string plain = page_with("plain", {{"x", 1}});
  const std::string hostile = page_with(hostile_name(), {{"x", hostile_name()}});
  for (const std::string_view tag : {"<script", "</script", "<img", "<!--", "<"}) {
    EXPECT_EQ(occurrences(hostile, tag), occurrences(plain, tag)) << tag;
  }
}

TEST(ReportPage, AssetsThatWouldEndTheirElementAreRefused) {
  EXPECT_THROW(page_with("t", nullptr, "a</style>", ""), std::logic_error);
  EXPECT_THROW(page_with("t", nullptr, "", "'</script>'"), std::logic_error);
  EXPECT_THROW(page_with("t", nullptr, "", "'<!--'"), std::logic_error);
}

TEST(ReportPage, AssetsLoadNothingAndHaveNoInlineHandlers) {
  for (const std::string_view asset :
       {assets::page_css, assets::page_html, assets::page_js, assets::gallery_css, assets::gallery_html,
        assets::gallery_js, assets::roc_css, assets::roc_html, assets::roc_js, assets::roc_svg_css, assets::table_css,
        assets::table_html, assets::table_js}) {
    for (const std::string_view loading :
         {"https:", "@import", "src=", " onclick", " onload", " style=\"", "fetch(", "eval("}) {
      EXPECT_EQ(asset.find(loading), std::string_view::npos) << loading;
    }
  }
}

TEST(XmlCheck, FindsWhatIsNotWellFormed) {
  EXPECT_EQ(test::XmlCheck::problem("<?xml version=\"1.0\"?>\n<a b=\"c\">x &amp; y<d/></a>\n"), "");
  for (const std::string_view bad : {"<a><b></a></b>", "<a>", "</a>", "<a b=c></a>", "<a>&nbsp;</a>", "<a>\x01</a>",
                                     "<a/><b/>", "<a b=\"1\" b=\"2\"/>", "<a b=\"<\"/>", "<a>]]></a>", ""}) {
    EXPECT_NE(test::XmlCheck::problem(bad), "") << bad;
  }
}

}  // namespace
}  // namespace ae::report::page_test
