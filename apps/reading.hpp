// Options of the programs that read new tables for a model: what is done about rows that are not as they should be.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "cli/app.hpp"
#include "recipe/sample_stream.hpp"

namespace ae::apps {

// ", 3 could not be read (the first: new.csv:7:3)", or "".
inline std::string bad_rows_text(const recipe::BadSamples& bad) {
  return bad.count == 0 ? "" : ", " + std::to_string(bad.count) + " could not be read (the first: " + bad.first + ")";
}

class ReadingOptions {
 public:
  // `also` is called with every option.
  template <typename Also>
  void declare(CLI::App& app, Also&& also) {
    also(cli::add_choice(
             app, "--bad-rows", bad_rows_,
             "What becomes of rows that cannot be read (a text where a number belongs, another number of cells), which "
             "are counted: stop ends at the first one without output, report passes them on without an answer, as far "
             "as "
             "their cells can be told apart, and ends with code 4, skip leaves them out",
             {"stop", "report", "skip"})
             ->capture_default_str());
    also(app.add_option("--missing", missing_,
                        "Also read cells with this text as missing, as the model's own such texts; repeat for several")
             ->allow_extra_args(false)
             ->type_name("TEXT"));
    also(app.add_flag("--allow-empty", allow_empty_, "Take an input without rows as fine: only a header is written"));
  }

  data::Reading reading() const {
    data::Reading reading;
    reading.missing = missing_;
    reading.bad_rows = bad_rows_ == "report" ? data::BadRows::report
                       : bad_rows_ == "skip" ? data::BadRows::skip
                                             : data::BadRows::stop;
    return reading;
  }
  bool allow_empty() const { return allow_empty_; }
  bool about_rows() const { return bad_rows_ != "stop" || !missing_.empty(); }

  // After the outputs are there. InputError when rows could not be read and the user wants to hear of it.
  void complain(std::int64_t bad, std::int64_t all) const {
    if (bad == 0 || bad_rows_ != "report") return;
    throw InputError(std::to_string(bad) + " of " + std::to_string(all) +
                     " rows could not be read; --bad-rows skip accepts that");
  }

 private:
  std::string bad_rows_ = "stop";
  std::vector<std::string> missing_;
  bool allow_empty_ = false;
};

}  // namespace ae::apps
