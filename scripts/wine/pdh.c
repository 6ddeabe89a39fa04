/* The counters of Windows, of which Wine lacks some functions and would end the program: nothing is counted here. */
#include <windows.h>

#define PDH_NO_DATA ((LONG)0x800007D5)
#define EMPTY(name) \
  __declspec(dllexport) LONG WINAPI name(void) { return PDH_NO_DATA; }

EMPTY(PdhAddEnglishCounterW)
EMPTY(PdhCloseQuery)
EMPTY(PdhCollectQueryData)
EMPTY(PdhEnumObjectsW)
EMPTY(PdhGetFormattedCounterValue)
EMPTY(PdhOpenQueryW)
EMPTY(PdhRemoveCounter)
