/* The console's host, without an option that a pseudo-console is opened with and that Wine's does not know. */
#include <wchar.h>
#include <windows.h>

#define OPTION L" --inheritcursor"

int wmain(void) {
  wchar_t line[4096] = L"conhost-wine.exe", *given = GetCommandLineW(), *rest, *cut;
  STARTUPINFOW with = {sizeof(with)};
  PROCESS_INFORMATION made;
  DWORD code = 1;
  rest = *given == L'"' ? wcschr(given + 1, L'"') + 1 : wcschr(given, L' ');
  if (rest) wcsncat(line, rest, 4000);
  while ((cut = wcsstr(line, OPTION))) wmemmove(cut, cut + wcslen(OPTION), wcslen(cut + wcslen(OPTION)) + 1);
  if (!CreateProcessW(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &with, &made)) return 1;
  WaitForSingleObject(made.hProcess, INFINITE);
  GetExitCodeProcess(made.hProcess, &code);
  return (int)code;
}
