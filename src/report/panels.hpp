// Panels of figures, one below another: tables, pictures and facts. All texts are plain ones, any bytes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "evaluate/figure_list.hpp"

namespace ae::report {

std::string table_panel(std::string_view heading, const std::vector<std::string>& columns,
                        const std::vector<std::vector<std::string>>& rows);
std::string picture_panel(std::string_view heading, std::string_view description, std::string_view svg);
// Small pictures (whole PNG files), a line for each row of a table: what it says, and its pictures. `columns` names
// all.
struct PictureRow {
  std::vector<std::string> texts, pictures;
};
std::string pictures_panel(std::string_view heading, std::string_view description,
                           const std::vector<std::string>& columns, const std::vector<PictureRow>& rows);
std::string facts_panel(std::string_view heading, const evaluate::Figures& facts);
// What was asked: the facts, and what every run tells of itself. `command`: the line that made it.
std::string asked_panel(evaluate::Figures facts, const std::vector<std::string>& warnings, const std::string& command,
                        const std::string& made_by);

// A page of such panels, joined.
std::string panels_page(std::string_view title, std::string_view description, const std::string& panels);

}  // namespace ae::report
