#include "evaluate/score_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/files.hpp"
#include "support/errors.hpp"
#include "support/recording_reporter.hpp"
#include "support/temporary_folder.hpp"

namespace ae::evaluate::score_files_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class ScoreFiles : public testing::Test {
 protected:
  std::filesystem::path file(const std::string& name, const std::string& text) {
    write_file(folder_ / name, text);
    return folder_ / name;
  }
  LabeledRows read(const std::string& text, const LabelMeaning& meaning = {}) {
    return read_labeled_scores(file("s.csv", text), {.labels = meaning}, reporter_);
  }
  LabeledRows join(const std::string& scores, const std::string& labels, ScoreReading how = {}) {
    how.label_table = file("l.csv", labels);
    return read_labeled_scores(file("s.csv", scores), how, reporter_);
  }
  MatchedRows match(const std::vector<std::string>& texts, const ScoreReading& how = {}) {
    std::vector<std::filesystem::path> paths;
    for (const auto& text : texts)
      paths.push_back(file(std::string(1, static_cast<char>('a' + paths.size())) + ".csv", text));
    return read_matched_scores(paths, how, reporter_);
  }
  // The one error line, without the folder of the files.
  std::string input_error(const std::function<void()>& act) {
    std::string line = test::error_of<InputError>(act);
    const std::string folder = folder_.string() + "/";
    for (auto at = line.find(folder); at != std::string::npos; at = line.find(folder)) line.erase(at, folder.size());
    return line;
  }
  std::string error_of(const std::string& text, const LabelMeaning& meaning = {}) {
    return input_error([&] { read(text, meaning); });
  }
  std::string error_of_pair(const std::string& first, const std::string& second) {
    return input_error([&] { match({first, second}); });
  }

  test::RecordingReporter reporter_;
  const test::TemporaryFolder temporary_;
  const std::filesystem::path& folder_ = temporary_.path();
};

TEST_F(ScoreFiles, ColumnsAreFoundByNameAndOthersIgnored) {
  const LabeledRows rows = read("label,id,note,score\n0,a,x,1\n1,b,y,2.5\n0.0,c,z,-3\n1e0,d,,1e-3\n");
  EXPECT_THAT(rows.normals, ElementsAre(1, -3));
  EXPECT_THAT(rows.anomalies, ElementsAre(2.5, 0.001));
  EXPECT_EQ(rows.unlabeled, 0);
  EXPECT_TRUE(reporter_.warnings.empty());
}

TEST_F(ScoreFiles, WordPairsSpeakForThemselvesInAnyCase) {
  EXPECT_THAT(read("score,label\n1,False\n2,TRUE\n").anomalies, ElementsAre(2));
  EXPECT_THAT(read("score,label\n1,anomaly\n2,Normal\n").anomalies, ElementsAre(1));
}

TEST_F(ScoreFiles, OtherLabelsNeedToBeExplained) {
  const std::string text = "score,label\n1,benign\n2,malignant\n3,odd\n";
  EXPECT_THAT(error_of(text), AllOf(HasSubstr(R"(column "label" has the labels "benign", "malignant", "odd")"),
                                    HasSubstr("--normal VALUE")));
  EXPECT_THAT(error_of("score,label\n1,0\n2,anomaly\n"), HasSubstr(R"("0", "anomaly")"));
  EXPECT_THAT(read(text, {{"benign"}, {}}).anomalies, ElementsAre(2, 3));
  EXPECT_THAT(read(text, {{}, {"odd", "malignant"}}).normals, ElementsAre(1));
  EXPECT_THAT(error_of(text, {{"benign"}, {"malignant"}}), HasSubstr(R"(label "odd" is neither)"));
  EXPECT_THAT(read("score,label\n1,2\n2,3.0\n3,3\n", {{"3"}, {}}).normals, ElementsAre(2, 3));
}

TEST_F(ScoreFiles, SpellingsOfBooleansAreOneLabel) {
  const LabeledRows rows = read("score,label\n1,True\n2,TRUE\n3,true\n4,1\n5,1.0\n6,False\n7,0\n8,no\n9,yes\n");
  EXPECT_THAT(rows.anomalies, UnorderedElementsAre(1, 2, 3, 4, 5, 9));
  EXPECT_THAT(rows.normals, UnorderedElementsAre(6, 7, 8));
  ASSERT_EQ(rows.labels.size(), 2u);
  ASSERT_EQ(reporter_.infos.size(), 1u);
  EXPECT_THAT(reporter_.infos[0], HasSubstr(R"(labels "True", "TRUE", "true", "1", "1.0", "yes" are read as anomaly)"));
  EXPECT_TRUE(reporter_.warnings.empty());
}

TEST_F(ScoreFiles, SpellingsOfAnExplainedLabelAreMeantToo) {
  const std::string text = "score,label\n1,0\n2,False\n3,1\n";
  EXPECT_THAT(read(text, {{"0"}, {}}).normals, UnorderedElementsAre(1, 2));
  EXPECT_THAT(read(text, {{}, {"true"}}).anomalies, ElementsAre(3));
  EXPECT_THAT(read(text, {{"0"}, {"False", "1"}}).anomalies, UnorderedElementsAre(2, 3));  // to the letter first
  // Beside other labels a word is only itself.
  EXPECT_THAT(read("score,label\n1,0\n2,False\n3,2\n", {{"0"}, {}}).normals, ElementsAre(1));
}

TEST_F(ScoreFiles, KindsOfAnomaliesAreNotSpellings) {
  EXPECT_EQ(read("score,label\n1,0\n2,1\n3,1.0\n4,True\n").labels.size(), 2u);
  const LabeledRows kinds = read("score,label\n1,ok\n2,hole\n3,crack\n", {{"ok"}, {}});
  EXPECT_EQ(kinds.labels.size(), 3u);
  EXPECT_THAT(kinds.labels[1].scores, ElementsAre(2));
}

TEST_F(ScoreFiles, AMissingLabelIsNoAnomaly) {
  for (const std::string token : {"NA", "NaN", "nan", "null", "NULL", "N/A", "?", "None", "none", "-", "."}) {
    for (const LabelMeaning& meaning : {LabelMeaning{}, LabelMeaning{{"0"}, {}}, LabelMeaning{{}, {"1"}}}) {
      reporter_.warnings.clear();
      const LabeledRows rows = read("score,label\n1,0\n2,1\n3," + token + "\n4, " + token + " \n5,\n", meaning);
      EXPECT_THAT(rows.anomalies, ElementsAre(2)) << token;
      EXPECT_THAT(rows.normals, ElementsAre(1)) << token;
      EXPECT_EQ(rows.unlabeled, 3) << token;
      ASSERT_EQ(reporter_.warnings.size(), 1u) << token;
      EXPECT_THAT(reporter_.warnings[0], HasSubstr("3 rows without a label"));
      EXPECT_THAT(reporter_.warnings[0], HasSubstr('"' + token + '"'));
      EXPECT_THAT(reporter_.warnings[0], HasSubstr("empty"));
    }
  }
  const auto path = file("k.csv", "id,score,label\na,1,0\nb,2,1\nc,3,None\n");
  EXPECT_EQ(read_labeled_scores(path, {}, reporter_, {.ids = true, .group_column = ""}).rows.size(), 2u);
}

TEST_F(ScoreFiles, ANameOfAClassThatAlsoMeansMissingIsALabelWhereItIsNamed) {
  const std::string text = "score,label\n1,none\n2,crack\n3,hole\n4,NA\n";
  EXPECT_THAT(read(text, {{"none"}, {}}).normals, ElementsAre(1));
  EXPECT_THAT(read(text, {{"none", "NA"}, {}}).normals, UnorderedElementsAre(1, 4));
  reporter_.warnings.clear();
  EXPECT_THAT(read(text, {{"crack"}, {}}).anomalies, ElementsAre(3));
  EXPECT_THAT(reporter_.warnings[0],
              AllOf(HasSubstr(R"(2 rows without a label ("NA", "none") are left out; "none")"), HasSubstr("--normal")));
  EXPECT_THAT(error_of("score,label\n1,-\n2,+\n", {{}, {"+"}}),
              AllOf(HasSubstr("all labelled rows are anomalies"), HasSubstr(R"("-": a label only if)")));
  EXPECT_THAT(error_of("score,label\n1,None\n"), AllOf(HasSubstr("no row has a label"), HasSubstr(R"("None")")));
}

TEST_F(ScoreFiles, TheModelOfTheScoresIsReadAndMustBeOne) {
  EXPECT_EQ(read("score,label,model\n1,0,0123abcd\n2,1,0123abcd\n").model, "0123abcd");
  EXPECT_EQ(read("score,label\n1,0\n2,1\n").model, "");
  const std::string two = "score,label,model\n1,0,0123abcd\n2,,0123abce\n2,1,0123abcd\n";
  EXPECT_THAT(error_of(two),
              AllOf(HasSubstr("s.csv:3:4:"), HasSubstr("0123abcd"), HasSubstr("0123abce"), HasSubstr("--force")));
  EXPECT_THAT(error_of("score,label,model\n1,0,0123abcd\n2,1,\n"), HasSubstr("s.csv:3:5:"));
  EXPECT_THAT(error_of("score,label,model\n1,0,\n2,1,0123abcd\n"), HasSubstr("s.csv:3:5:"));
  EXPECT_TRUE(reporter_.warnings.empty());
  const LabeledRows forced = read_labeled_scores(file("s.csv", two), {.mixed_models = true}, reporter_);
  EXPECT_EQ(forced.model, "");
  EXPECT_THAT(reporter_.warnings.back(), HasSubstr("more than one model"));
}

TEST_F(ScoreFiles, AnotherColumnOfThatNameIsNoDigest) {
  EXPECT_EQ(read("score,label,model\n1,0,Volvo\n2,1,Saab\n").model, "");
  ASSERT_EQ(reporter_.infos.size(), 1u);
  EXPECT_THAT(reporter_.infos[0], HasSubstr("holds no digest"));
  const auto path = file("m.csv", "score,model\n1,00000000\n2,00000001\n");
  EXPECT_EQ(read_labeled_scores(path, {.columns = {.label = "model"}}, reporter_).normals.size(), 1u);
}

TEST_F(ScoreFiles, LabelsMayStandInATableOfTheirOwn) {
  const LabeledRows rows = join("id,score\n007,1\n8,2\nx,3\n,4\ny,5\n", "id,label\n8,1\ny,NA\n007,0\nz,1\n");
  EXPECT_THAT(rows.normals, ElementsAre(1));
  EXPECT_THAT(rows.anomalies, ElementsAre(2));
  EXPECT_EQ(rows.unlabeled, 3);
  ASSERT_EQ(reporter_.warnings.size(), 3u);
  EXPECT_THAT(reporter_.warnings[0], HasSubstr(R"(1 row without a label ("NA") is left out)"));
  EXPECT_THAT(reporter_.warnings[1], HasSubstr("2 rows whose ids are not in"));
  EXPECT_THAT(reporter_.warnings[2], HasSubstr("1 row has an id that is not in"));
  const std::string scores = "id,score\na,1\nb,2\n";
  EXPECT_THAT(join(scores, "key,truth\nb,1\na,0\n", {.columns = {.label = "truth"}, .label_id = "key"}).normals,
              ElementsAre(1));
  const auto error = [&](const std::string& from, const std::string& labels) {
    return input_error([&] { join(from, labels); });
  };
  EXPECT_THAT(error(scores, "id,label\n1,1\n2,0\n"),
              AllOf(HasSubstr("l.csv: none of its 2 ids is an id of s.csv"), HasSubstr(R"("1" here, "a" there)")));
  EXPECT_THAT(error(scores, "id,label\na,1\na,1\n"), HasSubstr(R"(l.csv:3:1: id "a" occurs a second time)"));
  EXPECT_THAT(error("id,score\na,1\na,2\n", "id,label\na,1\n"), HasSubstr(R"(s.csv:3:1: id "a" occurs a second time)"));
  EXPECT_THAT(error(scores, "key,label\na,1\n"), AllOf(HasSubstr(R"(l.csv: no column "id")"), HasSubstr("--id")));
  EXPECT_THAT(error(scores, "id,kind\na,1\n"), HasSubstr("--label-column"));
  EXPECT_THAT(error(scores, "id,label\na,1\nb,1\nc,0\n"), HasSubstr("all labelled rows are anomalies"));
}

TEST_F(ScoreFiles, LabelsBesideTheScoresAreNotReadWhenThereIsATableOfLabels) {
  EXPECT_THAT(join("id,score,label\na,1,1\nb,2,0\n", "id,label\na,0\nb,1\n").normals, ElementsAre(1));
  ASSERT_EQ(reporter_.infos.size(), 1u);
  EXPECT_THAT(reporter_.infos[0], HasSubstr(R"(column "label" is not read)"));
  ScoreReading how;
  how.label_table = file("t.csv", "id,label\nb,1\na,0\n");
  EXPECT_THAT(match({"id,score\na,1\nb,2\n", "id,score,label\nb,3,0\na,4,0\n"}, how).normals,
              ElementsAre(ElementsAre(1), ElementsAre(4)));
}

TEST_F(ScoreFiles, AMistypedNormalValueIsNamed) {
  EXPECT_THAT(error_of("score,label\n1,benign\n2,malignant\n", {{"bening"}, {}}),
              HasSubstr(R"(no row has the label "bening"; did you mean "benign"?)"));
}

TEST_F(ScoreFiles, AValueCannotMeanBoth) {
  EXPECT_THROW(read("score,label\n1,0\n2,1\n", {{"1"}, {"1.0"}}), UsageError);
}

TEST_F(ScoreFiles, RowsWithoutALabelAreLeftOutWithOneWarning) {
  const LabeledRows rows = read("score,label\n1,0\n,\n2,1\nabc, \n");
  EXPECT_EQ(rows.unlabeled, 2);
  EXPECT_EQ(rows.normals.size() + rows.anomalies.size(), 2u);
  ASSERT_EQ(reporter_.warnings.size(), 1u);
  EXPECT_THAT(reporter_.warnings[0], HasSubstr("2 rows without a label are left out"));
}

TEST_F(ScoreFiles, RowsThatCouldNotBeScoredAreLeftOutWithOneWarning) {
  const LabeledRows rows = read("id,score,label\na,1,0\nb,,1\nc,2,1\nd, ,\n");
  EXPECT_EQ(rows.unscored, 1);  // without label and score it is a row without a label
  EXPECT_EQ(rows.normals, (std::vector<double>{1}));
  EXPECT_EQ(rows.anomalies, (std::vector<double>{2}));
  ASSERT_FALSE(reporter_.warnings.empty());
  EXPECT_THAT(reporter_.warnings.back(), HasSubstr("1 labelled row has no score and is left out"));
}

TEST_F(ScoreFiles, ALabelledRowNeedsAFiniteScore) {
  EXPECT_THAT(error_of("score,label\n1,0\nNaN,1\n"), HasSubstr("s.csv:3:1: score is missing"));
  EXPECT_THAT(error_of("score,label\n1,0\nhigh,1\n"), HasSubstr(R"(s.csv:3:1: score "high" is not a number)"));
  EXPECT_THAT(error_of("score,label\n1,0\n1e400,1\n"), HasSubstr("is too large"));
  EXPECT_THAT(error_of("score,label\n1,0\n-inf,1\n"), HasSubstr("is too large"));
}

TEST_F(ScoreFiles, MissingColumnsAreNamedWithTheNearestName) {
  EXPECT_THAT(
      error_of("id,scores,label\na,1,0\n"),
      AllOf(HasSubstr(R"(no column "score")"), HasSubstr(R"(did you mean "scores"?)"), HasSubstr("--score-column")));
  EXPECT_THAT(error_of("id,score\na,1\n"), AllOf(HasSubstr(R"(no column "label")"), HasSubstr("--label-column")));
}

TEST_F(ScoreFiles, OneClassIsNoCurve) {
  EXPECT_THAT(error_of("score,label\n1,0\n2,0\n"), HasSubstr(R"(all labelled rows are normal (labels "0"))"));
  EXPECT_THAT(error_of("score,label\n1,true\n2,true\n"), HasSubstr("all labelled rows are anomalies"));
  EXPECT_THAT(error_of("score,label\n1,\n2,\n"), HasSubstr("no row has a label"));
}

TEST_F(ScoreFiles, AColumnOfThousandsOfValuesIsNoLabel) {
  std::string text = "score,label\n";
  for (int i = 0; i < 1001; ++i) text += "1," + std::to_string(i) + "\n";
  EXPECT_THAT(error_of(text), HasSubstr("more than 1000 different values"));
}

TEST_F(ScoreFiles, PairsAreMatchedByIdInAnyOrder) {
  const MatchedRows rows = match({"id,score,label\na,1,0\nb,2,1\nc,3,0\n", "score,id\n30,c\n20,b\n10,a\n"});
  EXPECT_THAT(rows.anomalies, ElementsAre(ElementsAre(2), ElementsAre(20)));
  EXPECT_THAT(rows.normals, ElementsAre(ElementsAre(1, 3), ElementsAre(10, 30)));
}

TEST_F(ScoreFiles, AnyNumberOfFilesIsMatched) {
  const std::string first = "id,score,label,model\na,1,0,00000001\nb,2,1,00000001\n";
  const MatchedRows rows =
      match({first, "id,score,model\nb,20,0000000a\na,10,0000000a\n", "id,score\na,5\nb,6\n", first});
  EXPECT_THAT(rows.anomalies, ElementsAre(ElementsAre(2), ElementsAre(20), ElementsAre(6), ElementsAre(2)));
  EXPECT_THAT(rows.models, ElementsAre("00000001", "0000000a", "", "00000001"));
  EXPECT_THAT(input_error([&] { match({first, first, "id,score\na,5\n"}); }), HasSubstr(R"(c.csv: id "b" of a.csv)"));
}

TEST_F(ScoreFiles, UnlabelledRowsOfAPairMayBeInEitherFile) {
  const MatchedRows rows = match({"id,score,label\na,1,0\nb,2,1\nc,3,\nd,4,NA\n", "id,score\na,1\nb,2\nc,\n"});
  EXPECT_EQ(rows.unlabeled, 2);
  EXPECT_EQ(rows.anomalies[0].size() + rows.normals[0].size(), 2u);
}

TEST_F(ScoreFiles, LabelsOfAPairAgreeInWhateverSpelling) {
  const MatchedRows rows = match({"id,score,label\na,1,0\nb,2,1\n", "id,score,label\na,1,False\nb,2,NA\n"});
  EXPECT_EQ(rows.unlabeled, 0);
}

TEST_F(ScoreFiles, PairsWithDifferentRowsAreRefusedByName) {
  const std::string first = "id,score,label\na,1,0\nb,2,1\n";
  EXPECT_THAT(error_of_pair(first, "id,score\na,1\n"), HasSubstr(R"(b.csv: id "b" of a.csv is missing)"));
  EXPECT_THAT(error_of_pair(first, "id,score\na,1\nb,1\nx,2\ny,2\n"),
              HasSubstr(R"(a.csv: ids "x", "y" of b.csv are missing)"));
  EXPECT_THAT(error_of_pair(first, "id,score\na,1\nb,2\na,1\n"),
              HasSubstr(R"(b.csv:4:1: id "a" occurs a second time)"));
  EXPECT_THAT(error_of_pair("id,score,label\na,1,0\na,2,1\n", first), HasSubstr("a.csv:3:1"));
  EXPECT_THAT(error_of_pair(first, "id,score,label\na,1,0\nb,2,0\n"),
              HasSubstr(R"(b.csv:3:5: id "b" has the label "0", but "1" in a.csv)"));
  EXPECT_THAT(error_of_pair("score,label\n1,0\n2,1\n", first), HasSubstr(R"(no column "id")"));
}

TEST_F(ScoreFiles, LabelsThatAnOptionDoesNotNameAreTold) {
  read("score,label\n1,normal\n2,Normal\n3,crack\n", {{"normal"}, {}});
  ASSERT_EQ(reporter_.infos.size(), 1u);
  EXPECT_THAT(reporter_.infos[0], HasSubstr("labels \"Normal\", \"crack\" are read as anomaly, as --normal does not"));
  ASSERT_EQ(reporter_.warnings.size(), 1u);
  EXPECT_THAT(reporter_.warnings[0],
              HasSubstr("label \"Normal\" is read as anomaly, but --normal names the same word in "
                        "another case; name it with --normal as well, or with --anomaly"));

  reporter_ = {};
  read("score,label\n1,ok\n2,dent\n3,crack\n", {{}, {"crack"}});
  EXPECT_TRUE(reporter_.infos.size() == 1 && reporter_.warnings.empty());
  EXPECT_THAT(reporter_.infos[0], HasSubstr("labels \"ok\", \"dent\" are read as normal, as --anomaly does not"));

  reporter_ = {};
  read("score,label\n1,ok\n2,crack\n3,crack\n", {{"ok"}, {}});
  read("score,label\n1,ok\n2,OK\n3,crack\n", {{"ok", "OK"}, {}});
  read("score,label\n1,ok\n2,dent\n3,crack\n", {{"ok"}, {"crack", "dent"}});
  EXPECT_TRUE(reporter_.infos.empty() && reporter_.warnings.empty()) << "nothing to say";
}

}  // namespace
}  // namespace ae::evaluate::score_files_test
