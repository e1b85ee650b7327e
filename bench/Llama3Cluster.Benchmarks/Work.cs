using BenchmarkDotNet.Parameters;

namespace Llama3Cluster.Benchmarks;

/// <summary>What one call of a benchmark does.</summary>
/// <param name="Bytes">Bytes that it reads and writes at least; 0 to say nothing.</param>
/// <param name="Operations">Additions and multiplications; 0 to say nothing.</param>
internal sealed record Work(double Bytes, double Operations);

/// <summary>The work of a benchmark with the given parameters.</summary>
internal delegate Work WorkOf(string benchmark, ParameterInstances parameters);
