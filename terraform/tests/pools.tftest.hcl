# Further pools: what a pool is when only its name is given, and each of its settings.
mock_provider "azurerm" {}

variables {
  acr_name = "demo"
  aks_name = "my_cluster-of-a-name-that-is-much-longer-than-a-dns-prefix-is"
  tags     = { owner = "me" }
  node_pools = {
    plain = {}
    arm64 = { vm_size = "Standard_D2ps_v6" }
    zonal123 = {
      os_sku     = "Ubuntu2404"
      node_count = 3
      zones      = ["1", "2", "3"]
      labels     = { "imgvol.dev/pool" = "zonal" }
      taints     = ["imgvol.dev/validate=yes:NoSchedule"]
    }
  }
}

run "pools" {
  assert {
    condition = alltrue([for name in ["plain", "arm64", "zonal123"] : alltrue([
      azurerm_kubernetes_cluster_node_pool.this[name].name == name,
      azurerm_kubernetes_cluster_node_pool.this[name].kubernetes_cluster_id == azurerm_kubernetes_cluster.this.id,
      azurerm_kubernetes_cluster_node_pool.this[name].mode == "User",
      azurerm_kubernetes_cluster_node_pool.this[name].upgrade_settings[0].max_surge == "1",
      azurerm_kubernetes_cluster_node_pool.this[name].temporary_name_for_rotation == "${name}tmp",
      azurerm_kubernetes_cluster_node_pool.this[name].tags == tomap({ owner = "me" }),
    ])])
    error_message = "what every pool has"
  }

  assert {
    condition = alltrue([
      azurerm_kubernetes_cluster_node_pool.this["plain"].vm_size == "Standard_D2s_v3",
      azurerm_kubernetes_cluster_node_pool.this["plain"].os_sku == "AzureLinux",
      azurerm_kubernetes_cluster_node_pool.this["plain"].node_count == 1,
      length(azurerm_kubernetes_cluster_node_pool.this["plain"].zones) == 0,
      length(azurerm_kubernetes_cluster_node_pool.this["plain"].node_labels) == 0,
      length(azurerm_kubernetes_cluster_node_pool.this["plain"].node_taints) == 0,
    ])
    error_message = "a pool's defaults"
  }

  assert {
    condition     = azurerm_kubernetes_cluster_node_pool.this["arm64"].vm_size == "Standard_D2ps_v6"
    error_message = "a pool's vm_size"
  }

  assert {
    condition = alltrue([
      azurerm_kubernetes_cluster_node_pool.this["zonal123"].os_sku == "Ubuntu2404",
      azurerm_kubernetes_cluster_node_pool.this["zonal123"].node_count == 3,
      azurerm_kubernetes_cluster_node_pool.this["zonal123"].zones == toset(["1", "2", "3"]),
      azurerm_kubernetes_cluster_node_pool.this["zonal123"].node_labels == tomap({ "imgvol.dev/pool" = "zonal" }),
      azurerm_kubernetes_cluster_node_pool.this["zonal123"].node_taints == tolist(["imgvol.dev/validate=yes:NoSchedule"]),
    ])
    error_message = "a pool's settings"
  }

  assert {
    condition     = output.node_pools == ["system", "arm64", "plain", "zonal123"]
    error_message = "the output node_pools: ${jsonencode(output.node_pools)}"
  }

  assert {
    condition = alltrue([
      azurerm_kubernetes_cluster.this.dns_prefix == "my-cluster-of-a-name-that-is-much-longer-than-a-dns-pr",
      output.get_credentials == "az aks get-credentials --resource-group rg-oci-artifact-demo --name my_cluster-of-a-name-that-is-much-longer-than-a-dns-prefix-is",
    ])
    error_message = "the DNS prefix ${azurerm_kubernetes_cluster.this.dns_prefix}"
  }
}
