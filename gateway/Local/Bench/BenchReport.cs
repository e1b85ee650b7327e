using Llama3Cluster.Kernels.Cpu.Ceilings;

namespace Llama3Cluster.Gateway.Local.Bench;

/// <summary>The model as <c>bench</c> describes it.</summary>
/// <param name="Model">Its name.</param>
/// <param name="Type">The format of its weights.</param>
/// <param name="Bytes">Bytes of its weights.</param>
/// <param name="StepReadBytes">Bytes of them that a step reads.</param>
/// <param name="Device">The device.</param>
/// <param name="Threads">Its threads.</param>
/// <param name="Stages">Slices.</param>
/// <param name="LoadSeconds">Opening and loading.</param>
/// <param name="FirstTokenSeconds">The first token's time, from a prompt of one token.</param>
/// <param name="StartSeconds">From the program's start to that token.</param>
internal sealed record BenchModel(
    string Model, string Type, long Bytes, long StepReadBytes, string Device, int Threads, int Stages, double LoadSeconds,
    double FirstTokenSeconds, double StartSeconds);

/// <summary>Where <c>bench</c> writes what it finds, in this order.</summary>
internal interface IBenchReport
{
    /// <summary>The machine and, if they were measured, its ceilings.</summary>
    void Machine(string processor, CpuCeilings? ceilings);

    void Model(BenchModel model);

    void Row(BenchRow row);

    /// <summary>Memory in use after the tests, where the system tells, and what it should amount to.</summary>
    void Memory(ResidentMemory? resident, long weightBytes, long kvBytes);
}
