#include "data/tables/schema.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "config/document.hpp"
#include "support/errors.hpp"

namespace ae::data::schema_test {
namespace {

using Json = nlohmann::ordered_json;

Schema example() {
  Schema schema;
  schema.columns.push_back({"patient", Role::id, {}, {}});
  schema.columns.push_back({"radius", Role::numeric, Scaler::fit("standard", {0.1, 0.2, 0.7}), {}});
  schema.columns.push_back({"Größe", Role::numeric, Scaler::fit("quantile", {1, 2, 2, 3}), {}});
  schema.columns.push_back({"type", Role::categorical, {}, {"", "A", "a", "ä"}});
  schema.columns.push_back({"note", Role::ignore, {}, {}});
  schema.columns.push_back({"diagnosis", Role::label, {}, {}});
  schema.missing = {"", "NA"};
  schema.normal = {"B"};
  return schema;
}

TEST(Schema, SurvivesJsonToTheLastBit) {
  const auto text = example().to_json().dump();
  const auto back = Schema::from_json(Json::parse(text));
  EXPECT_EQ(back.to_json().dump(), text);
  EXPECT_EQ(back.features(), (std::vector<std::size_t>{1, 2, 3}));
  EXPECT_EQ(back.find(Role::id), 0u);
  EXPECT_EQ(back.find(Role::label), 5u);
  EXPECT_EQ(back.columns[3].levels, example().columns[3].levels);
  EXPECT_EQ(back.columns[1].scaler.scale(0.3), example().columns[1].scaler.scale(0.3));
  EXPECT_EQ(back.missing, example().missing);
  EXPECT_EQ(back.normal, example().normal);
}

TEST(Schema, KeepsHowItsTablesAreWritten) {
  Schema schema = example();
  schema.missing_in_numbers = {"None", "-"};
  schema.numbers = {',', "\u202f"};
  schema.delimiter = "|";
  schema.header = "yes";
  const auto back = Schema::from_json(Json::parse(schema.to_json().dump()));
  EXPECT_EQ(back.missing_in_numbers, schema.missing_in_numbers);
  EXPECT_EQ(back.numbers, schema.numbers);
  const TableFormat format = back.format();
  EXPECT_EQ(format.former_delimiter, "|");
  EXPECT_EQ(format.header, "yes");
  EXPECT_EQ(format.names, (std::vector<std::string>{"radius", "Größe", "type"}));
}

TEST(Schema, OfPlainTablesSaysNoMoreThanItEverDid) {
  const auto json = example().to_json();
  EXPECT_EQ(json.size(), 3u);
  EXPECT_TRUE(Schema::from_json(json).numbers.plain());
}

TEST(Schema, FindsNothingWhereThereIsNothing) {
  Schema schema;
  EXPECT_EQ(schema.find(Role::label), std::nullopt);
  EXPECT_TRUE(schema.features().empty());
}

struct Change {
  const char* pointer;
  const char* value;  // JSON; "" removes
  const char* message;
};

class HostileSchema : public testing::TestWithParam<Change> {};

TEST_P(HostileSchema, IsRefusedWithItsPlace) {
  Json json = example().to_json();
  const Json::json_pointer pointer(GetParam().pointer);
  if (std::string_view(GetParam().value).empty()) {
    json.at(pointer.parent_pointer()).erase(pointer.back());
  } else {
    json[pointer] = Json::parse(GetParam().value);
  }
  EXPECT_EQ(test::errors_of<InputError>([&] { Schema::from_json(json); }), std::vector<std::string>{GetParam().message})
      << json;
}

INSTANTIATE_TEST_SUITE_P(
    Json, HostileSchema,
    testing::Values(
        Change{"/columns", "", "/columns: missing key"}, Change{"/missing", "", "/missing: missing key"},
        Change{"/normal", "3", "/normal: found number, expected an array"},
        Change{"/columns", "{}", "/columns: found object, expected an array"},
        Change{"/columns", "[]", "/columns: no numeric or categorical column"},
        Change{"/columns/2", "null", "/columns/2: found null, expected an object"},
        Change{"/columns/1/name", "", "/columns/1/name: missing key"},
        Change{"/columns/1/name", "5", "/columns/1/name: found number, expected a text"},
        Change{"/columns/1/name", "\"type\"", "/columns/3/name: a second column named \"type\""},
        Change{"/columns/1/role", "\"number\"", "/columns/1/role: unknown role \"number\""},
        Change{"/columns/1/role", "\"label\"", "/columns/1/scaler: only for numeric columns"},
        Change{"/columns/1/scaler", "", "/columns/1/scaler: missing key"},
        Change{"/columns/1/scaler/spread", "0", "/columns/1/scaler/spread: expected a number above 0"},
        Change{"/columns/2/scaler/knots/1", "9e9", "/columns/2/scaler/knots/2: not larger than the number before it"},
        Change{"/columns/3/levels", "", "/columns/3/levels: missing key"},
        Change{"/columns/3/levels", "\"a\"", "/columns/3/levels: found string, expected an array"},
        Change{"/columns/3/levels", R"(["b", "a"])", "/columns/3/levels: expected distinct levels in increasing order"},
        Change{"/columns/3/levels", R"(["a", "a"])", "/columns/3/levels: expected distinct levels in increasing order"},
        Change{"/columns/3/levels", R"(["a", 1])", "/columns/3/levels/1: found number, expected a text"},
        Change{"/columns/4/levels", R"(["a"])", "/columns/4/levels: only for categorical columns"},
        Change{"/columns/4/role", "\"label\"", "/columns: more than one column with role \"label\""},
        Change{"/columns/4/width", "1", "/columns/4: unknown key \"width\""},
        Change{"/missing/0", "null", "/missing/0: found null, expected a text"},
        Change{"/missing_in_numbers", "3", "/missing_in_numbers: found number, expected an array"},
        Change{"/numbers", R"({"decimal": ";", "thousands": ""})", "/numbers/decimal: expected \".\" or \",\""},
        Change{"/numbers", R"({"decimal": ",", "thousands": ","})",
               "/numbers/thousands: expected another mark than the decimal one"},
        Change{"/header", "\"maybe\"", "/header: expected \"yes\" or \"no\""},
        Change{"/version", "1", ": unknown key \"version\""}));

TEST(Schema, RefusesTextThatIsNotUtf8) {
  Json json = example().to_json();
  json["columns"][0]["name"] = "caf\xe9";
  EXPECT_THROW(Schema::from_json(json), InputError);
}

TEST(ElementText, IsTheUnscaledNumberOrTheLevel) {
  const Schema schema = example();
  const Column& radius = schema.columns[1];
  EXPECT_EQ(element_text(radius, radius.scaler.scale(0.7)), "0.7");
  EXPECT_EQ(element_text({"x", Role::numeric, Scaler::fit("none", {1, 2}), {}}, -0.25), "-0.25");
  EXPECT_EQ(element_text(schema.columns[3], 1), "A");
  EXPECT_EQ(element_text(schema.columns[3], 3), "ä");
  EXPECT_EQ(element_text(schema.columns[3], 4), "<unseen>");
  EXPECT_EQ(element_text(schema.columns[3], -1), "<unseen>");
  EXPECT_EQ(element_text(schema.columns[3], std::nan("")), "<unseen>");
}

TEST(LabelMatches, ComparesTrimmedTextAndNumbers) {
  const std::vector<std::string> values{"B", "1", "healthy "};
  EXPECT_TRUE(label_matches("B", values));
  EXPECT_TRUE(label_matches("  B\t", values));
  EXPECT_TRUE(label_matches("1.0", values));
  EXPECT_TRUE(label_matches("+1e0", values));
  EXPECT_TRUE(label_matches("healthy", values));
  EXPECT_FALSE(label_matches("b", values));
  EXPECT_FALSE(label_matches("10", values));
  EXPECT_FALSE(label_matches("", values));
  EXPECT_FALSE(label_matches("nan", std::vector<std::string>{"NaN"})) << "a NaN equals nothing, not even a NaN";
  EXPECT_FALSE(label_matches("", std::vector<std::string>{""}));
}

class Options : public testing::Test {
 protected:
  std::vector<std::string> problems() {
    std::vector<config::Problem> found;
    options.check(found);
    std::vector<std::string> lines;
    for (const auto& problem : found) lines.push_back(problem.pointer + ": " + problem.message);
    return lines;
  }
  TableOptions options;
};

TEST_F(Options, AreFineByDefault) { EXPECT_TRUE(problems().empty()); }

TEST_F(Options, NormalNeedsALabel) {
  options.normal = {"B"};
  EXPECT_EQ(problems(), std::vector<std::string>{
                            "/normal: there is no label to compare with; set /data/label to the label's column"});
  options.label = "diagnosis";
  EXPECT_TRUE(problems().empty());
  options.label = "";
  options.columns = {{"diagnosis", "label"}};
  EXPECT_TRUE(problems().empty());
}

TEST_F(Options, ContradictionsAreNamed) {
  options.label = options.id = "x";
  options.normal = {"B", " "};
  options.missing = {"NA", " NA"};
  options.delimiter = "||";
  EXPECT_EQ(problems(),
            (std::vector<std::string>{
                "/delimiter: found \"||\", expected one character that is neither a quote nor a line end, or \"\"",
                "/id: column \"x\" is already the label; choose another column, or none",
                "/normal/1: an empty label never means normal; name a label value",
                "/missing/1: found \" NA\" with blanks around it, which no trimmed cell equals; remove the blanks"}));
  options = {};
  options.delimiter = "\"";
  EXPECT_EQ(problems().size(), 1u);
  options = {};
  for (const char* mark : {"", "ab", "5", "-"}) {
    options.thousands = mark;
    EXPECT_EQ(problems().size(), 1u) << mark;
  }
  for (const char* mark : {"auto", "none", ",", "'", "\u202f"}) {
    options.thousands = mark;
    EXPECT_TRUE(problems().empty()) << mark;
  }
  options.decimal = options.thousands = ",";
  EXPECT_EQ(problems().size(), 1u);
}

TEST_F(Options, AreReadFromAConfigFile) {
  config::read_text(options, R"({"path": "a.csv", "label": "y", "normal": 0, "columns": {"f_*": "ignore"},
                                 "missing": ["-999"], "scaling": "quantile", "max_levels": 12, "header": "no"})",
                    "c.json", "/folder");
  EXPECT_EQ(options.path.resolved, "/folder/a.csv");
  EXPECT_EQ(options.normal, std::vector<std::string>{"0"});
  EXPECT_EQ(options.columns, (decltype(options.columns){{"f_*", "ignore"}}));
  EXPECT_EQ(options.missing, std::vector<std::string>{"-999"});
  EXPECT_EQ(options.scaling, "quantile");
  EXPECT_EQ(options.max_levels, 12);
  EXPECT_EQ(options.table_format().header, "no");
}

TEST_F(Options, HaveASentenceForEveryField) {
  const auto schema = Json::parse(config::json_schema(options, "data"));
  auto fields = schema["properties"];
  for (const auto* name : {"$schema", "extends"}) fields.erase(name);  // of config files, whatever is in them
  ASSERT_EQ(fields.size(), 20u);
  for (const auto& [name, field] : fields.items()) {
    const auto description = field.value("description", "");
    const auto sentence = description.substr(0, description.find('\n'));  // before the list of choices
    EXPECT_TRUE(sentence.ends_with('.') && sentence.size() > 20) << name << ": " << sentence;
    EXPECT_EQ(sentence.find(". "), std::string::npos) << name << ": " << sentence;
  }
}

}  // namespace
}  // namespace ae::data::schema_test
